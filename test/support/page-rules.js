/**
 * Runs in a page, not in Node. What the page breaks of the rules that everybody can rely on:
 * landmarks, order of headings, names of links, buttons and inputs, tables, contrast of text
 * (WCAG 2.2: 1.4.3, 1.4.11), and no sideways scrolling. It is written for pages of ours and is no
 * audit of any page.
 */
;(() => {
  const flaws = []
  const all = (selector) => [...document.querySelectorAll(selector)]
  const told = (element) => element.outerHTML.slice(0, 120)
  const byIds = (ids) =>
    ids
      .split(' ')
      .map((id) => document.getElementById(id)?.textContent ?? '')
      .join(' ')
      .trim()
  const nameOf = (element) =>
    byIds(element.getAttribute('aria-labelledby') ?? '') ||
    element.getAttribute('aria-label') ||
    (element.textContent ?? '').trim()

  if (document.documentElement.lang === '') flaws.push('the page has no language')
  if (document.title.trim() === '') flaws.push('the page has no title')
  for (const [selector, count] of [
    ['main', 1],
    ['h1', 1],
    ['body > header', 1],
    ['body > footer', 1],
  ])
    if (all(selector).length !== count) flaws.push(`${all(selector).length} of ${selector}`)
  const first = all('a[href], button, input')[0]
  if (first?.getAttribute('href') !== '#main') flaws.push('the first link does not skip to main')

  let level = 0
  for (const heading of all('h1, h2, h3, h4, h5, h6')) {
    const next = Number(heading.tagName.slice(1))
    if (next > level + 1) flaws.push(`heading skips a level: ${told(heading)}`)
    if (nameOf(heading) === '') flaws.push(`empty heading: ${told(heading)}`)
    level = next
  }

  const ids = all('[id]').map(({id}) => id)
  for (const id of new Set(ids))
    if (ids.filter((each) => each === id).length > 1) flaws.push(`id twice: ${id}`)
  for (const name of ['aria-labelledby', 'aria-describedby', 'for'])
    for (const element of all(`[${name}]`))
      for (const id of (element.getAttribute(name) ?? '').split(' '))
        if (document.getElementById(id) === null)
          flaws.push(`${name} without its element: ${told(element)}`)

  for (const element of all('a[href], button, summary'))
    if (nameOf(element) === '') flaws.push(`no name: ${told(element)}`)
  for (const input of all('input:not([type=hidden]), select, textarea'))
    if ([...(input.labels ?? [])].every((label) => nameOf(label) === ''))
      flaws.push(`no label: ${told(input)}`)
  const navs = all('nav').map((nav) => nav.getAttribute('aria-label') ?? '')
  if (navs.some((name) => name === '') || new Set(navs).size < navs.length)
    flaws.push(`navigations are not told apart: ${navs.join(', ')}`)
  for (const image of all('img:not([alt])')) flaws.push(`no alternative: ${told(image)}`)
  for (const image of [...document.querySelectorAll('svg')])
    if (image.getAttribute('role') !== 'img' || nameOf(image) === '')
      flaws.push(`no name: ${told(image)}`)
  for (const table of all('table')) {
    if (nameOf(table.querySelector('caption') ?? document.createElement('i')) === '')
      flaws.push('a table has no caption')
    if (table.querySelectorAll('thead th[scope=col]').length === 0)
      flaws.push('a table has no column headers')
    for (const row of table.querySelectorAll('tbody tr'))
      if (row.querySelector('th[scope=row]') === null)
        flaws.push(`a row has no header: ${told(row)}`)
  }
  for (const element of all('[style], [onclick], [onload], style'))
    flaws.push(`inline: ${told(element)}`)

  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth
  if (wide > 0) flaws.push(`the page is ${wide} px wider than the window`)
  const colorOf = (text) => {
    const [r = 0, g = 0, b = 0, a = 1] = (text.match(/[\d.]+/g) ?? []).map(Number)
    return [r, g, b, a]
  }
  const over = ([r, g, b, a], [R, G, B]) => [
    r * a + R * (1 - a),
    g * a + G * (1 - a),
    b * a + B * (1 - a),
    1,
  ]
  const groundOf = (element) => {
    if (element === null) return [255, 255, 255, 1]
    const own = colorOf(getComputedStyle(element).backgroundColor)
    return own[3] === 1 ? own : over(own, groundOf(element.parentElement))
  }
  const light = ([r, g, b]) => {
    const [x = 0, y = 0, z = 0] = [r, g, b].map((value) => {
      const part = value / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const contrast = (a, b) => {
    const [high = 0, low = 0] = [light(a), light(b)].toSorted((x, y) => y - x)
    return (high + 0.05) / (low + 0.05)
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const seen = new Set()
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement
    if (element === null || seen.has(element) || (walker.currentNode.nodeValue ?? '').trim() === '')
      continue
    seen.add(element)
    if (
      !element.checkVisibility() ||
      ['SCRIPT', 'TITLE', 'DESC'].includes(element.tagName.toUpperCase())
    )
      continue
    const style = getComputedStyle(element)
    const isDrawn = element.closest('svg') !== null
    const ground = groundOf(element)
    const ratio = contrast(over(colorOf(isDrawn ? style.fill : style.color), ground), ground)
    if (ratio < 4.5) flaws.push(`contrast ${ratio.toFixed(2)}: ${told(element)}`)
  }
  for (const input of all('input:not([type=hidden]), button, a.button')) {
    if (!input.checkVisibility()) continue
    const ground = groundOf(input.parentElement)
    const style = getComputedStyle(input)
    const edge = contrast(over(colorOf(style.borderTopColor), ground), ground)
    if (edge < 3) flaws.push(`edge contrast ${edge.toFixed(2)}: ${told(input)}`)
  }
  return flaws
})()
