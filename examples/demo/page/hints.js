// A few words about whatever bears `data-hint`: under the pointer, under the keyboard's focus, under a
// finger. Always described to whoever cannot see them.

import { t } from './words.js';

const AIR = 8;
const bubble = Object.assign(document.createElement('div'), { className: 'hint', hidden: true });
bubble.setAttribute('aria-hidden', 'true');
document.body.append(bubble);

let shownFor = null;

/** Puts the descriptions into the page, in the language of the moment. */
export function describe() {
  for (const element of document.querySelectorAll('[data-hint]')) {
    element.setAttribute('aria-description', t('hints')[element.dataset.hint]);
  }
  if (shownFor) show(shownFor);
}

function show(element) {
  shownFor = element;
  bubble.textContent = t('hints')[element.dataset.hint];
  bubble.hidden = false;
  const at = element.getBoundingClientRect();
  const widest = document.documentElement.clientWidth - bubble.offsetWidth - AIR;
  bubble.style.left = `${Math.max(AIR, Math.min(at.left + at.width / 2 - bubble.offsetWidth / 2, widest))}px`;
  bubble.style.top = `${at.bottom + AIR}px`;
}

function hide() {
  shownFor = null;
  bubble.hidden = true;
}

for (const element of document.querySelectorAll('[data-hint]')) {
  element.addEventListener('pointerenter', () => show(element));
  element.addEventListener('pointerleave', hide);
  element.addEventListener('focus', () => { if (element.matches(':focus-visible')) show(element); });
  element.addEventListener('blur', hide);
}
addEventListener('scroll', hide, { passive: true });
addEventListener('keydown', (event) => { if (event.key === 'Escape') hide(); });
