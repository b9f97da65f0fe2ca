/** What a node is called where it is told or signed: 1 to 128 visible characters of ASCII. */
export const nodeName = /^[!-~]{1,128}$/
