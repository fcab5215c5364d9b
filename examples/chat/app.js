// SPDX-License-Identifier: MIT
// The chat page. What it keeps true: a message that was sent is shown once, however often it is delivered, and is sent again
// until it has come back; after a break it goes on where it was.
'use strict';

const $ = (id) => document.getElementById(id);
const ROOMS = ['lobby', 'ideas', 'weaving', 'after-hours'];
const GROUP_MS = 5 * 60 * 1000;   // messages of one person within it stand together
const TYPING_EVERY = 2000, TYPING_FOR = 3500;

let name = '', room = '';
let socket = null, retries = 0, retryTimer = 0;
let position = '0';               // of the last message seen; "0": all that is kept
let isReady = false;              // joined, and given what was missed
let seen = new Set();             // ids of the messages shown
let waiting = new Map();          // id -> text: sent, and not come back yet
let present = new Set();
let typing = new Map();           // name -> when it ends
let last = null;                  // the last message shown: whom a next one may stand with
let lastDay = '';
const page = Math.random().toString(36).slice(2, 10);
let counter = 0;

// ---- small things ----

function hueOf(text) {
  let h = 7;
  for (const c of text) h = (h * 31 + c.codePointAt(0)) >>> 0;
  return (h * 47) % 360;
}

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function faceOf(who) {
  const parts = who.trim().split(/\s+/);
  const initials = [...parts[0]][0] + (parts.length > 1 ? [...parts[parts.length - 1]][0] : '');
  const face = element('span', 'face', initials.toUpperCase());
  face.style.setProperty('--h', hueOf(who));
  return face;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const dayText = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });

function setState(state, words) {
  $('state').dataset.state = state;
  $('state').querySelector('b').textContent = words;
}

// ---- the list of messages ----

const isAtEnd = () => $('log').scrollHeight - $('log').scrollTop - $('log').clientHeight < 80;
let wasAtEnd = true;              // before the window, or a phone's keyboard, took its room

function toEnd() {
  $('log').scrollTop = $('log').scrollHeight;
  $('latest').hidden = true;
  wasAtEnd = true;
}
new ResizeObserver(() => { if (wasAtEnd) toEnd(); }).observe($('log'));

function show(item, isOwn) {
  const stay = isAtEnd() || isOwn;
  if (isReady) item.classList.add('new');
  $('messages').append(item);
  $('empty').hidden = true;
  if (stay) toEnd();
  else $('latest').hidden = false;
}

function note(text, kind) {
  last = null;
  show(element('li', 'note ' + (kind || ''), text), false);
}

// Text with its links; never HTML of anybody's.
function fill(target, text) {
  let at = 0;
  for (const match of text.matchAll(/https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g)) {
    target.append(text.slice(at, match.index));
    const link = element('a', '', match[0]);
    link.href = match[0];
    link.target = '_blank';
    link.rel = 'noopener noreferrer';
    target.append(link);
    at = match.index + match[0].length;
  }
  target.append(text.slice(at));
}

function showMessage(message, isWaiting) {
  const time = new Date(message.time), mine = message.from === name;
  const day = time.toDateString();
  if (day !== lastDay) {
    lastDay = day;
    note(day === new Date().toDateString() ? 'Today' : dayText.format(time), 'rule');
  }
  const isFirst = !last || last.from !== message.from || message.time - last.time > GROUP_MS;
  const item = element('li', (mine ? 'mine ' : '') + (isFirst ? 'first' : '') + (isWaiting ? ' waits' : ''));
  item.dataset.id = message.id;
  if (!mine) {
    // the face stands beside the last of a group
    if (!isFirst && last.item.querySelector('.face')) last.item.querySelector('.face').style.visibility = 'hidden';
    item.append(faceOf(message.from));
  }
  if (isFirst) {
    const who = element('div', 'who');
    if (!mine) who.append(element('b', '', message.from));
    who.append(element('time', '', clock.format(time)));
    item.append(who);
  }
  const isBig = /^(\p{Extended_Pictographic}|\u200d|\ufe0f|\s){1,8}$/u.test(message.text);
  const said = element('div', 'said' + (isBig ? ' big' : ''));
  said.title = clock.format(time);
  fill(said, message.text);
  item.append(said);
  last = { from: message.from, time: message.time, item };
  show(item, mine && isWaiting);
}

function take(message) {
  if (typing.delete(message.from)) showTyping();
  if (seen.has(message.id)) {                       // ours that has come back, or one that was delivered twice
    if (waiting.delete(message.id)) {
      const item = $('messages').querySelector(`[data-id="${CSS.escape(message.id)}"]`);
      if (item) item.classList.remove('waits');
    }
    return;
  }
  seen.add(message.id);
  showMessage(message, false);
}

// ---- who is here ----

function showPeople() {
  const names = [...present].sort((a, b) => (b === name) - (a === name) || a.localeCompare(b));
  $('people').replaceChildren(...names.map((who) => {
    const item = element('li');
    item.append(faceOf(who), element('span', '', who));
    if (who === name) item.append(element('small', '', 'you'));
    return item;
  }));
  $('people-count').textContent = names.length;
  $('faces').replaceChildren(...names.filter((who) => who !== name).slice(0, 3).map(faceOf));
  const others = names.length - 1;
  $('subtitle').textContent = others < 1 ? 'Just you, for now'
    : others === 1 ? 'You and one other' : `You and ${others} others`;
}

function takePresence(change) {
  const told = (list, words) => {
    const others = list.filter((who) => who !== name);
    if (others.length === 0) return;
    const rest = others.length - 2;
    const text = rest > 1 ? `${others.slice(0, 2).join(', ')} and ${rest} others` : others.join(', ');
    note(`${text} ${words}`);
  };
  told(change.joined.filter((who) => !present.has(who)), 'joined');
  told(change.left.filter((who) => present.has(who)), 'left');
  for (const who of change.joined) present.add(who);
  for (const who of change.left) present.delete(who);
  showPeople();
}

function showTyping() {
  const now = Date.now();
  for (const [who, ends] of typing) if (ends < now) typing.delete(who);
  const names = [...typing.keys()];
  const line = $('typing');
  line.replaceChildren();
  if (names.length === 0) return;
  const dots = element('span', 'dots');
  dots.append(element('i'), element('i'), element('i'));
  const who = names.length > 2 ? 'Several people' : names.join(' and ');
  line.append(dots, `${who} ${names.length > 1 ? 'are' : 'is'} typing`);
}
setInterval(showTyping, 1000);

// ---- the connection ----

function takeText(text) {
  const message = JSON.parse(text);
  if (message.at) position = message.at;
  if (message.hello) {
    if (message.hello.gap && position !== '0') note('The connection was lost for longer than the room remembers', 'gap');
    position = message.hello.at;
    present = new Set(message.hello.present);
    present.add(name);
    showPeople();
  } else if (message.presence) {
    takePresence(message.presence);
  } else if (message.dropped) {
    note(`Your connection did not keep up: ${message.dropped} messages were left out`, 'gap');
  } else if (message.type === 'ready') {
    isReady = true;
    retries = 0;
    setState('live', 'Live');
    for (const [id, words] of waiting) send(id, words);
  } else if (message.type === 'typing') {
    typing.set(message.from, Date.now() + TYPING_FOR);
    showTyping();
  } else if (message.type === 'say') {
    take(message);
  }
}

function connect() {
  clearTimeout(retryTimer);
  const url = new URL(`/chat/ws/${encodeURIComponent(room)}`, location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  url.searchParams.set('name', name);
  url.searchParams.set('since', position);
  const mine = socket = new WebSocket(url);
  setState('connecting', retries ? 'Reconnecting' : 'Connecting');
  mine.onmessage = (event) => { if (mine === socket) takeText(event.data); };
  mine.onclose = () => {
    if (mine !== socket) return;
    isReady = false;
    const wait = Math.min(8000, 250 * 2 ** retries++) * (0.7 + 0.6 * Math.random());
    setState('connecting', navigator.onLine === false ? 'Offline' : 'Reconnecting');
    retryTimer = setTimeout(connect, wait);
  };
}

function disconnect() {
  const old = socket;
  socket = null;
  isReady = false;
  clearTimeout(retryTimer);
  if (old) old.close();
}

const send = (id, text) => socket.send(`say ${id} ${text}`);

function say(text) {
  const id = `${page}.${++counter}`;
  seen.add(id);
  waiting.set(id, text);
  showMessage({ id, from: name, text, time: Date.now() }, true);
  if (isReady) send(id, text);
}

window.addEventListener('online', () => { if (name && !isReady) { retries = 0; disconnect(); connect(); } });

// ---- rooms ----

function enter(newName, newRoom) {
  disconnect();
  name = newName;
  room = newRoom;
  position = '0';
  retries = 0;
  seen = new Set();
  waiting = new Map();
  present = new Set([name]);
  typing.clear();
  last = null;
  lastDay = '';
  try {
    localStorage.setItem('weft-chat-name', name);
  } catch { /* a private window */ }
  history.replaceState(null, '', '#' + encodeURIComponent(room));
  document.title = `#${room} · Weft chat`;
  document.body.classList.remove('drawer');
  $('messages').replaceChildren();
  $('empty').hidden = false;
  $('latest').hidden = true;
  $('app').hidden = false;
  $('room').textContent = room;
  $('text').placeholder = `Message #${room}`;
  const words = element('span', '', name);
  words.append(element('small', '', 'change your name'));
  $('me').replaceChildren(faceOf(name), words);
  $('rooms').replaceChildren(...[...new Set([...ROOMS, room])].map((each) => {
    const button = element('button', '', each);
    if (each === room) button.setAttribute('aria-current', 'page');
    button.onclick = () => (each === room ? document.body.classList.remove('drawer') : enter(name, each));
    return button;
  }));
  showPeople();
  showTyping();
  connect();
  if (matchMedia('(hover: hover)').matches) $('text').focus();
}

function openDoor() {
  try {
    $('door-name').value = name || localStorage.getItem('weft-chat-name') || '';
  } catch { /* a private window */ }
  $('door-room').value = room || decodeURIComponent(location.hash.slice(1)) || 'lobby';
  $('door').showModal();
}

$('door-form').onsubmit = (event) => {
  const newName = $('door-name').value.trim(), newRoom = $('door-room').value.trim().replace(/^#/, '');
  if (!newName || !newRoom) {
    event.preventDefault();
    return;
  }
  enter(newName, newRoom);
};
$('door').addEventListener('cancel', (event) => { if (!name) event.preventDefault(); });

// ---- writing ----

let lastTyping = 0;

function fit() {
  const text = $('text');
  text.style.height = 'auto';
  text.style.height = text.scrollHeight + 'px';
  $('send').disabled = !text.value.trim();
}

$('text').oninput = () => {
  fit();
  if (isReady && $('text').value && Date.now() - lastTyping > TYPING_EVERY) {
    lastTyping = Date.now();
    socket.send('typing');
  }
};
$('text').onkeydown = (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('composer').requestSubmit();
};
$('composer').onsubmit = (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text) return;
  say(text);
  $('text').value = '';
  lastTyping = 0;
  fit();
};

$('latest').onclick = toEnd;
$('log').onscroll = () => {
  wasAtEnd = isAtEnd();
  if (wasAtEnd) $('latest').hidden = true;
};
$('menu').onclick = () => $('menu').setAttribute('aria-expanded', document.body.classList.toggle('drawer'));
$('veil').onclick = () => document.body.classList.remove('drawer');
$('me').onclick = openDoor;

openDoor();
