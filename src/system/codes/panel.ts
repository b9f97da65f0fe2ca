import type {CodeTable} from './code.ts'

/** Codes of the panel: its store, its blobs and its routes (docs/guides/panel.md). */
export const panelCodes = {
  request_invalid: {
    exit: 'usage',
    title: 'the request is not as the panel reads it',
    cause: 'A parameter, header or field is missing, unknown, or of another form.',
    fix: 'Compare the request with /openapi.json of the panel.',
  },
  request_too_large: {
    exit: 'usage',
    title: 'the request is larger than the panel takes',
    cause: 'Bodies and headers are bounded before anything is read.',
    fix: 'Send artifacts as uploads, everything else in fewer bytes.',
  },
  headers_too_large: {
    exit: 'usage',
    title: 'the head of the request is larger than the panel takes',
    cause: 'Headers are bounded before anything is read.',
    fix: 'Send fewer or shorter headers; a licence is at most 6 KB.',
  },
  media_type_unknown: {
    exit: 'usage',
    title: 'the route takes no body of this type',
    cause: 'The content type decides how bytes are read, so it is not guessed.',
    fix: 'Send application/json, or application/offset+octet-stream for an upload.',
  },
  request_timeout: {
    exit: 'temporary',
    title: 'the request took too long to arrive',
    cause: 'A connection that sends slower than the limit would hold the panel for nothing.',
    fix: 'Try again on a better connection.',
  },
  route_unknown: {
    exit: 'usage',
    title: 'the panel has no such address',
    cause: 'The path or the method is not one of the API.',
    fix: 'Compare the request with /openapi.json of the panel.',
  },
  panel_stopping: {
    exit: 'temporary',
    title: 'the panel is shutting down',
    cause: 'Requests that had begun are finished; new ones are not taken.',
    fix: 'Try again; another instance or the restarted panel will answer.',
  },
  panel_failed: {
    exit: 'bug',
    title: 'the panel failed on a request',
    cause: 'The panel met something that it does not expect; its log has the request id.',
    fix: 'Look the request id up in the log of the panel, and report it.',
  },
  panel_locked: {
    exit: 'conflict',
    title: 'another panel is using the data folder',
    cause: 'Two processes on one folder would each believe to be the only one.',
    fix: 'Stop the other panel, or give this one another --data.',
  },
  panel_data_invalid: {
    exit: 'local',
    title: 'the data folder is not one of a panel',
    cause: 'The folder, a key in it or its mode is not as the panel left it.',
    fix: 'Correct what is named, or restore the folder from a backup.',
  },
  panel_damaged: {
    exit: 'verification',
    title: 'what the panel has is not as it was written',
    cause: 'A blob, manifest, log or audit row differs from its digest: a disk, or somebody.',
    fix: 'Find out why; restore what is named from a backup with rel panel restore.',
  },
  panel_keys_differ: {
    exit: 'conflict',
    title: 'the keys of this panel are not those of the database',
    cause:
      'All instances of a panel sign with the same keys; other keys would make licences and freshness statements that nodes refuse.',
    fix: 'Copy the folder keys of the first instance into the data folder of this one.',
  },
  listen_failed: {
    exit: 'local',
    title: 'the panel cannot listen on the address',
    cause: 'The port is taken, needs rights, or the address is not one of this machine.',
    fix: 'Give another --listen HOST:PORT.',
  },
  token_missing: {
    exit: 'unauthorised',
    title: 'no token was shown',
    cause: 'This route is for people and pipelines with a token of the panel.',
    fix: 'Send Authorization: Bearer relp_…; rel panel token new makes one.',
  },
  token_invalid: {
    exit: 'unauthorised',
    title: 'the token is not valid',
    cause: 'It is unknown, revoked or expired; the answer does not say which.',
    fix: 'rel panel token list shows the tokens; rel panel token new makes one.',
  },
  token_not_allowed: {
    exit: 'unauthorised',
    title: 'the token may not do this',
    cause: 'A token is limited to verbs and products.',
    fix: 'Use a token with that verb for that product.',
  },
  oidc_unavailable: {
    exit: 'usage',
    title: 'the panel takes no identities of runs',
    cause:
      'An identity token names the address it is for; a panel that was not told its own address cannot compare.',
    fix: 'Start it with --public-url, the address that pipelines use.',
  },
  oidc_token_invalid: {
    exit: 'unauthorised',
    title: 'the identity token is not valid',
    cause:
      'Its form, algorithm, key, signature, issuer, audience or times are not those that count; the message names what.',
    fix: 'Ask for a fresh one for the address of the panel; compare --public-url with --panel.',
  },
  oidc_token_replayed: {
    exit: 'unauthorised',
    title: 'the identity token was shown before',
    cause: 'Each is taken once, so that one that was overheard is worth nothing.',
    fix: 'Ask for a fresh one; if nobody of yours showed it, find out who did.',
  },
  oidc_publisher_unknown: {
    exit: 'unauthorised',
    title: 'no publisher of the product describes this run',
    cause:
      'Repository, owner, workflow, ref and environment must be those of a publisher; the details name the claims that differ.',
    fix: 'Compare with rel panel publisher list; add one with rel panel publisher add.',
  },
  oidc_keys_unavailable: {
    exit: 'temporary',
    title: 'the keys of the issuer cannot be read',
    cause: 'Without them nobody can say whether an identity token is genuine.',
    fix: 'Try again; if it stays, see whether the panel reaches the issuer.',
  },
  publisher_unknown: {
    exit: 'usage',
    title: 'the panel has no such publisher',
    cause: 'The id is not one of the list.',
    fix: 'rel panel publisher list shows them.',
  },
  form_stale: {
    exit: 'unauthorised',
    title: 'the form is not one of this session',
    cause:
      'Forms of the pages carry a value of the session, so that another site cannot send them; this one is missing, old, or of somebody else.',
    fix: 'Open the page again and send its form.',
  },
  same_person: {
    exit: 'gate',
    title: 'the release was drafted with the same token',
    cause:
      'This panel demands that one token drafts a release and another publishes it; all runs of a publisher count as one.',
    fix: 'Have somebody else publish it.',
  },
  product_unknown: {
    exit: 'upstreamMissing',
    title: 'the panel does not have this product',
    cause: 'Products are made by an administrator before anything is published.',
    fix: 'Make it with rel panel product add, or check the name.',
  },
  product_without_anchor: {
    exit: 'gate',
    title: 'the product has no trust anchor',
    cause: 'Without one the panel cannot say whose signatures count.',
    fix: 'Set it with rel panel product set NAME --anchor trust.json.',
  },
  product_without_matrix: {
    exit: 'gate',
    title: 'the product has no matrix',
    cause: 'Without one the panel cannot say when a release is complete.',
    fix: 'Set it with rel panel product set NAME --require COMPONENT/OS/ARCH.',
  },
  release_unknown: {
    exit: 'upstreamMissing',
    title: 'the panel has no such release',
    cause: 'It was never drafted here, or its draft was dropped.',
    fix: 'Draft it with POST /v1/products/NAME/releases.',
  },
  release_conflict: {
    exit: 'conflict',
    title: 'the version exists with other content',
    cause: 'A version is published once; the fields that differ are in the details.',
    fix: 'Publish under a new version.',
  },
  release_incomplete: {
    exit: 'gate',
    title: 'the release is not complete',
    cause: 'What is missing is listed in the details; nothing was published.',
    fix: 'Upload or sign what is missing, then publish again.',
  },
  matrix_unmet: {
    exit: 'gate',
    title: 'the manifest lacks artifacts that the product demands',
    cause: 'Each component, os and arch of the matrix has a required artifact in every release.',
    fix: 'Build and sign the missing artifacts, then draft the release again.',
  },
  release_not_published: {
    exit: 'conflict',
    title: 'the release is not published',
    cause: 'Only a published release can be recalled; a draft can be dropped.',
    fix: 'Drop the draft with DELETE.',
  },
  release_immutable: {
    exit: 'conflict',
    title: 'the release is published and cannot change',
    cause: 'What customers may have fetched stays as it is, for good.',
    fix: 'Publish a new version; recall this one when it must not be used.',
  },
  precondition_failed: {
    exit: 'conflict',
    title: 'the release is not the one that was meant',
    cause: 'If-Match names another manifest digest than the one of the draft.',
    fix: 'Read the release again and compare it with what was built.',
  },
  precondition_missing: {
    exit: 'usage',
    title: 'If-Match is missing',
    cause:
      'Publishing says which manifest is meant, so that nobody publishes what another drafted.',
    fix: 'Send If-Match: "SHA256", the digest of the manifest.',
  },
  upload_unknown: {
    exit: 'upstreamMissing',
    title: 'there is no such upload',
    cause: 'It is finished, was discarded, has expired, or belongs to another token.',
    fix: 'Ask for the blob with HEAD /v1/blobs/SHA256; if it is absent, start again.',
  },
  upload_quota: {
    exit: 'local',
    title:
      'the upload is larger than an artifact may be, or the token has too many unfinished ones',
    cause: 'The size is announced, so that what cannot fit is refused before it is sent.',
    fix: 'Split the artifact, or finish or give up the unfinished uploads, which also expire.',
  },
  license_exists: {
    exit: 'conflict',
    title: 'a licence of this id exists with other content',
    cause: 'An id names one licence; renewing changes it, issuing does not.',
    fix: 'Issue it under a new id, or renew the one there is.',
  },
  license_not_here: {
    exit: 'upstreamMissing',
    title: 'the panel has no such licence',
    cause: 'The id is unknown here.',
    fix: 'Check the id; GET /v1/licenses?product=NAME lists them.',
  },
  device_rolled_back: {
    exit: 'conflict',
    title: 'a node knows less than it did before',
    cause:
      'The number of its record is lower than what it stated before: its disk was set back to a copy, it was installed anew, or two nodes of a licence have one name. Its floor may be lower too.',
    fix: 'The audit log names licence and node; look at it, and rename one of two.',
  },
} as const satisfies CodeTable
