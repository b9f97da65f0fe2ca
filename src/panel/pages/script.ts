/** The one script: a button that copies a command. Without it the command can be selected. */
export const script = `
'use strict'
if (navigator.clipboard !== undefined) {
  const said = document.createElement('p')
  said.className = 'sr'
  said.setAttribute('role', 'status')
  document.body.append(said)
  for (const block of document.querySelectorAll('.command')) {
    const button = document.createElement('button')
    button.type = 'button'
    button.className = 'copy'
    button.textContent = 'Copy'
    button.setAttribute('aria-label', 'Copy: ' + block.dataset.what)
    button.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(block.querySelector('pre').textContent)
        said.textContent = 'Copied'
        button.textContent = 'Copied'
      } catch {
        said.textContent = 'The browser did not allow copying'
      }
    })
    block.append(button)
  }
}
`
