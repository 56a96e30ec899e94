//! What must hold between settings that are each right by themselves.
//!
//! Refused rather than warned about: a lease shorter than its calls would let two daemons send the same
//! message in the ordinary course of things. Both values stand in the message.

use std::net::SocketAddr;
use std::time::Duration;

use url::Url;

use super::kind::Wrong;
use super::load::Given;
use super::report::Finding;
use super::words::{Words, words};

/// WeChat cuts a cloud function called over HTTP at this age, whatever its own limit.
const CALLEE_LIMIT: Duration = Duration::from_secs(5);

/// A claim must outlive token refresh, question and call, each within the call timeout.
const CALLS_PER_LEASE: u32 = 3;

/// The lease covers three calls.
pub(super) fn lease_covers_calls(
    lease: &Given<Duration>,
    call: &Given<Duration>,
) -> Option<Finding> {
    let least = call.value * CALLS_PER_LEASE;
    if lease.value >= least {
        return None;
    }
    let (name, text, origin) = (&call.name, &call.text, call.origin.words());
    let least = short(least);
    let most = short(round(lease.value / CALLS_PER_LEASE));
    let own = &lease.name;
    Some(lease.finding(Wrong {
        reason: words!(
            "is shorter than three calls of {name} = \"{text}\" ({o})",
            "短于三次调用 {name} =“{text}”（{o}）",
            o = origin
        ),
        way_out: words!(
            "set {own} to {least} or more, or {name} to {most} or less",
            "请把 {own} 设为不少于 {least}，或把 {name} 设为不超过 {most}"
        ),
    }))
}

/// The next whole second below, or millisecond where there is no second.
fn round(span: Duration) -> Duration {
    match span.as_secs() {
        0 => Duration::from_millis(u64::from(span.subsec_millis())),
        seconds => Duration::from_secs(seconds),
    }
}

/// As one word, which can be copied into any source without quotes.
fn short(span: Duration) -> String {
    humantime::format_duration(span)
        .to_string()
        .replace(' ', "")
}

/// A daemon that stops does not wait longer than its leases last.
pub(super) fn drain_within_lease(
    drain: &Given<Duration>,
    lease: &Given<Duration>,
) -> Option<Finding> {
    if drain.value <= lease.value {
        return None;
    }
    let (name, text, origin) = (&lease.name, &lease.text, lease.origin.words());
    let own = &drain.name;
    Some(drain.finding(Wrong {
        reason: words!(
            "is longer than {name} = \"{text}\" ({o}), after which another daemon takes the rows",
            "长于 {name} =“{text}”（{o}），而过了租约别的进程就会接手这些行",
            o = origin
        ),
        way_out: words!(
            "set {own} to {text} or less",
            "请把 {own} 设为不超过 {text}"
        ),
    }))
}

/// A call that gives up before WeChat does never learns how it ended.
pub(super) fn call_outlasts_callee(call: &Given<Duration>) -> Option<Finding> {
    if call.value >= CALLEE_LIMIT + Duration::from_secs(1) {
        return None;
    }
    Some(call.finding(Wrong {
        reason: Words::new(
            "is hardly longer than WeChat's own limit of 5s, so calls may end without an answer",
            "几乎不比微信自己的 5 秒时限长，调用可能等不到结果",
        ),
        way_out: Words::new(
            "set it to 6s or more; 10s is usual",
            "请设为不少于 6s；通常用 10s",
        ),
    }))
}

/// Where other machines reach the desk, they come by a proxy with https.
pub(super) fn desk_is_reached_by_https(
    listen: &Given<SocketAddr>,
    url: Option<&Url>,
) -> Option<Finding> {
    // What an http:// URL means is said of the URL.
    if listen.value.ip().is_loopback() || url.is_some() {
        return None;
    }
    Some(listen.finding(Wrong {
        reason: Words::new(
            "lets other machines in over http, with passwords and customers' data unencrypted",
            "其他机器会用 http 访问，密码和客户数据明文传送",
        ),
        way_out: Words::new(
            "put a proxy with https before it and set OUTBOXD_DESK_URL to its https:// address",
            "请在前面放一个带 https 的代理，并把 OUTBOXD_DESK_URL 设为它的 https:// 地址",
        ),
    }))
}

/// A URL written for Prisma says that a pooler stands before the database.
pub(super) fn pooler_is_told(url: &str, pooled: bool) -> Option<Wrong> {
    (url.contains("pgbouncer=true") && !pooled).then(|| Wrong {
        reason: Words::new(
            "says pgbouncer=true, and OUTBOXD_POOLER does not say transaction",
            "写着 pgbouncer=true，而 OUTBOXD_POOLER 不是 transaction",
        ),
        way_out: Words::new(
            "set OUTBOXD_POOLER=transaction, or better give the daemon a direct URL",
            "请设置 OUTBOXD_POOLER=transaction，最好改用直连数据库的 URL",
        ),
    })
}
