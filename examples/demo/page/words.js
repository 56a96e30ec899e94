// Every text of the page, in both languages, and the few helpers that speak.
// The sentences about a notification's fate come from the daemon's own catalogue (`/api/demo/words`).

const TEXTS = {
  zh: {
    skip: '跳到客户列表', promise: '每一次分配，都有下落。',
    assigned: '已分配', settled: '已了结', delivered: '微信已接收', messages: '手机上的消息', twice: '重复', lost: '丢失',
    levers: '弄坏点什么', leverDown: '微信宕机', lever500: '服务器 500', leverSlow: '网络变慢', leverToken: '吊销 token',
    tokenRevoked: 'token 已吊销：下一次调用会被拒绝一次，换新后继续。',
    daemon: '守护进程', kill: 'kill -9', start: '启动',
    running: (pid, s) => `运行中 · pid ${pid} · ${s}`, killed: (s) => `被 kill -9 · ${s}前`, ended: (s) => `自行退出 · ${s}前`, stopped: (s) => `已停止 · ${s}前`,
    offline: '演示程序没有应答。它可能已经停止。',
    language: 'English', languageLabel: 'Switch to English', theme: '切换深色与浅色',
    desk: '客服台', seeOnDesk: '在客服台查看',
    crm: '客户管理', crmSays: '分配与通知写在同一个事务里。', assignTo: '分配给', batch: '批量分配 50 位', pool: '从公海领 5 位', leads: '新增 20 位',
    show: '显示哪些客户', owned: '已有归属', nobody: '公海', belongs: (who) => `归 ${who}`, inPool: '公海', tail: (digits) => `尾号 ${digits}`, assign: '分配', to: '分配给', hint: '选一个人，点“分配”。',
    plain: '一切正常', unlucky: '各有状况',
    quirks: { not_subscribed: '起初未允许', no_openid: '未绑定微信', slow: '慢 0.8 秒', http_500: '首次 500', reset: '首次断线', lost_reply: '首次回复丢失' },
    done: (n, who, ms) => (n === 1 ? `已分配给${who}` : `${n} 位客户已分配给${who}，同一个事务`) + `，${ms} 毫秒。`,
    leadsDone: (n) => `公海里新增 ${n} 位客户。`, tooFew: '客户不够了：先新增线索。',
    errors: { already_assigned: '这位客户已经归此人，没有重复分配。', not_in_pool: '有客户已被别人领走，一位也没有分配。', customer_unknown: '没有这位客户。', staff_unknown: '没有这位员工。', database: '数据库暂时不可用，什么也没有发生。' },
    journey: '通知的旅程', journeySays: '每一行都查得到：走到哪一步，为什么，下一步何时。', now: '此刻',
    stopQueued: '排队', stopInFlight: '已领取，调用中', stopDelivered: '微信已接收',
    aside: (retrying, awaiting, refused, superseded) => `重试中 <b>${retrying}</b>　等待用户允许 <b>${awaiting}</b>　已拒绝或放弃 <b>${refused}</b>　被新分配取代 <b>${superseded}</b>`,
    wrong: { silent: '微信没有回应。', failing: '微信应答异常。', paused: '已由人工暂停。' },
    held: '已暂停领取，一条也不会丢。', probe: (s) => `${s}后试探一条。`,
    hints: {
      desk: '客服用的网页：她收到了吗？没有的话，为什么？该谁处理，怎么办？点编号就能看到那一条。',
      twice: '同一条通知在手机上出现了不止一次。由 CRM 的账本与手机上的消息逐条核对得出，不听守护进程的一面之词。',
      lost: '没有如实结局的分配：说送达了手机上却没有，说没送手机上却有，或者凭空消失。由 CRM 的账本与手机上的消息逐条核对得出，不听守护进程的一面之词。',
      down: '连接被接受后立即断开，没有应答。守护进程暂停领取，隔一会儿试探一条；恢复后继续。',
      http_500: '每次调用都得到 HTTP 500。无法确定是否已发送，所以先询问再重发。',
      allows: '关上：没有允许接收消息，微信拒收（43101），通知留着等。打开：为每条等着的通知点一次“允许”，它们随即发出；之后的都允许。',
      latency_ms: '每个应答晚 1.5 秒。更慢，但不会出错。',
      revoke_tokens: '像另一台服务器强制刷新了 token：下一次调用被拒绝，换新后继续。',
      kill: '不打招呼，立即结束进程。已领取的通知在租约到期后（最多 6 秒）由下一个守护进程接手。',
      start: '启动一个新的守护进程，它从数据库里接着做。',
    },
    rowsEmpty: '还没有通知。在左边分配一位客户。', newRows: (n) => `${n} 条新通知`,
    chips: { queued: '排队', calling: '调用中', orphan: '无主', retrying: '重试中', awaiting: '等待用户允许', held: '暂停', delivered: '微信已接收', refused: '未送出', superseded: '已取代', missing: '不见了' },
    says: {
      queued: '等待守护进程领取。', calling: '已领取，正在调用云函数。', orphan: (s) => `领取它的守护进程已不在；${s}后可由别人接手。`,
      retry: (s) => `${s}后重试。`, retryNow: '即将重试。', awaiting: (who) => `在“手机”一栏选${who}，打开“允许”就会发出。`, held: '已暂停，正在试探。', heldDown: '微信恢复后继续。', paused: '人工暂停，恢复后继续。',
      delivered: (ms) => `从提交到了结 ${ms}。`, refused: '微信没有接收，原因已记录。', mayHaveArrived: '可能已送达，无法确认。', superseded: '同一客户有了更新的分配，这一条不再发送。', missing: '找不到这条通知！',
    },
    tries: (n) => `第 ${n} 次尝试 · `, ago: (s) => `${s}前`, justNow: '刚刚',
    phones: '手机', phonesSay: '订阅消息到达时会落在这里。', whose: '谁的手机', everybody: '所有人', allows: '允许', cardsEmpty: '还没有消息。', newCards: (n) => `${n} 条新消息`,
    service: '服务通知', app: '家政 CRM', title: '客户分配通知', more: '进入小程序查看', forWhom: (who) => `给 ${who}`,
    fields: { thing1: '客户', thing2: '提醒', time3: '时间' },
    seconds: (s) => `${s} 秒`, minutes: (m) => `${m} 分钟`, millis: (ms) => `${ms} 毫秒`,
  },
  en: {
    skip: 'Skip to the customers', promise: 'Every assignment is accounted for.',
    assigned: 'assigned', settled: 'settled', delivered: 'accepted by WeChat', messages: 'on phones', twice: 'twice', lost: 'lost',
    levers: 'Break something', leverDown: 'WeChat down', lever500: 'HTTP 500', leverSlow: 'Slow network', leverToken: 'Revoke token',
    tokenRevoked: 'Token revoked: the next call is refused once, gets a new one, and goes on.',
    daemon: 'Daemon', kill: 'kill -9', start: 'Start',
    running: (pid, s) => `running · pid ${pid} · ${s}`, killed: (s) => `killed with -9 · ${s} ago`, ended: (s) => `ended by itself · ${s} ago`, stopped: (s) => `stopped · ${s} ago`,
    offline: 'The demo does not answer. It may have been stopped.',
    language: '中文', languageLabel: '切换到中文', theme: 'Switch between dark and light',
    desk: 'The desk', seeOnDesk: 'See it on the desk',
    crm: 'The CRM', crmSays: 'Assignment and notification are one transaction.', assignTo: 'Assign to', batch: 'Batch-assign 50', pool: 'Take 5 from pool', leads: '20 new leads',
    show: 'Which customers', owned: 'Owned', nobody: 'Public pool', belongs: (who) => `with ${who}`, inPool: 'in the pool', tail: (digits) => `…${digits}`, assign: 'Assign', to: 'Assign to', hint: 'Choose somebody and press Assign.',
    plain: 'All is well', unlucky: 'With a misfortune',
    quirks: { not_subscribed: 'refuses at first', no_openid: 'no openid', slow: '0.8 s slow', http_500: 'first call: 500', reset: 'first call: cut', lost_reply: 'first reply lost' },
    done: (n, who, ms) => (n === 1 ? `Assigned to ${who}` : `${n} customers assigned to ${who} in one transaction`) + `, ${ms} ms.`,
    leadsDone: (n) => `${n} new customers in the public pool.`, tooFew: 'Not enough customers: add leads first.',
    errors: { already_assigned: 'That customer is theirs already; nobody was assigned twice.', not_in_pool: 'Somebody else took one of them; nobody was assigned.', customer_unknown: 'There is no such customer.', staff_unknown: 'There is no such person.', database: 'The database is not available; nothing happened.' },
    journey: 'A row’s journey', journeySays: 'Every row can be explained: how far it came, why, and what happens next.', now: 'Now',
    stopQueued: 'queued', stopInFlight: 'claimed, calling', stopDelivered: 'accepted by WeChat',
    aside: (retrying, awaiting, refused, superseded) => `retrying <b>${retrying}</b>　waiting for permission <b>${awaiting}</b>　refused or given up <b>${refused}</b>　superseded <b>${superseded}</b>`,
    wrong: { silent: 'WeChat does not answer.', failing: 'WeChat answers with errors.', paused: 'Paused by hand.' },
    held: 'Claiming pauses, nothing is lost.', probe: (s) => `One row probes in ${s}.`,
    hints: {
      desk: 'The pages for support: did she get it, and if not, why? A number on this page leads to that message there.',
      twice: 'Notifications with more than one message on phones. Counted from the CRM’s ledger against the phones’, not from the daemon’s word.',
      lost: 'Assignments without a truthful end: called delivered but on no phone, called not sent but on a phone, or simply gone. Counted from the CRM’s ledger against the phones’, not from the daemon’s word.',
      down: 'Connections are accepted and closed without an answer. The daemon stops claiming and sends one row ahead now and then, until one gets through.',
      http_500: 'Every call gets HTTP 500. Nobody can say whether it was sent, so the daemon asks before it sends again.',
      allows: 'Off: messages are not allowed, WeChat refuses (43101), and notifications wait. On: a tap on “allow” for each that waits, and it goes; from then on all are allowed.',
      latency_ms: 'Every answer comes 1.5 s late. Slower, and still right.',
      revoke_tokens: 'As if another server had forced a refresh: the next call is refused, gets a new token, and goes on.',
      kill: 'The process ends at once, without a word. What it had claimed goes to the next daemon when the lease lapses, within 6 s.',
      start: 'Starts a new daemon. All it needs to know is in the database.',
    },
    rowsEmpty: 'No notifications yet. Assign a customer on the left.', newRows: (n) => `${n} new`,
    chips: { queued: 'queued', calling: 'calling', orphan: 'orphaned', retrying: 'retrying', awaiting: 'waiting for permission', held: 'held', delivered: 'accepted by WeChat', refused: 'not sent', superseded: 'superseded', missing: 'missing' },
    says: {
      queued: 'Waiting for a daemon to claim it.', calling: 'Claimed; the cloud function is being called.', orphan: (s) => `Its daemon is gone; free for another in ${s}.`,
      retry: (s) => `Next try in ${s}.`, retryNow: 'Next try any moment.', awaiting: (who) => `Goes when ${who}’s phone allows messages.`, held: 'Paused; another row probes.', heldDown: 'Held until WeChat is back.', paused: 'Paused by hand; goes on when resumed.',
      delivered: (ms) => `Settled ${ms} after the commit.`, refused: 'WeChat did not accept it; the reason is on record.', mayHaveArrived: 'It may have arrived; nobody can say for certain.', superseded: 'A newer assignment of this customer replaced it.', missing: 'This notification cannot be found!',
    },
    tries: (n) => `attempt ${n} · `, ago: (s) => `${s} ago`, justNow: 'just now',
    phones: 'Phones', phonesSay: 'Where the subscribe messages land.', whose: 'Whose phone', everybody: 'Everybody’s', allows: 'Allow', cardsEmpty: 'No messages yet.', newCards: (n) => `${n} new`,
    service: 'Service notice', app: 'CRM', title: 'Customer assigned', more: 'Open the mini program', forWhom: (who) => `for ${who}`,
    fields: { thing1: 'Customer', thing2: 'Note', time3: 'Time' },
    seconds: (s) => `${s} s`, minutes: (m) => `${m} min`, millis: (ms) => `${ms} ms`,
  },
};

const remembered = localStorage.getItem('language');
export let language = remembered || (navigator.languages.some((l) => l.startsWith('zh')) ? 'zh' : 'en');
let catalogue = {};

export const t = (key) => TEXTS[language][key];
export const named = (thing, latin) => (language === 'zh' ? thing : latin);
export const learn = (sentences) => { catalogue = sentences; };

/** The catalogue's sentence for a reason, or nothing. */
export function sentence(reason) {
  const words = catalogue[reason]?.[language];
  return words && (/[.。!?！？]$/.test(words) ? words : words + (language === 'zh' ? '。' : '.'));
}

/** Whether a reason is about the app as a whole. */
export const isOutage = (reason) => Boolean(catalogue[reason]?.outage);

/** A duration as people say it. */
export function span(ms) {
  const short = Math.max(0, Math.round(ms));
  if (short < 1000) return t('millis')(short);
  if (short < 10_000) return t('seconds')((short / 1000).toFixed(1));
  if (short < 120_000) return t('seconds')(Math.round(short / 1000));
  return t('minutes')(Math.round(short / 60_000));
}

/** Puts the fixed texts into the page. */
export function speak() {
  document.documentElement.lang = language === 'zh' ? 'zh-CN' : 'en';
  for (const element of document.querySelectorAll('[data-t]')) element.textContent = t(element.dataset.t);
  for (const element of document.querySelectorAll('[data-label]')) element.setAttribute('aria-label', t(element.dataset.label));
}

export function switchLanguage() {
  language = language === 'zh' ? 'en' : 'zh';
  localStorage.setItem('language', language);
  speak();
}
