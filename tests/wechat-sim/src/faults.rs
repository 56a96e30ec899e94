//! Misbehaviour scripted by the row itself: the recipient's name says what goes wrong with its call, so
//! that tests and the demo need no second channel. An unknown name is a plain person.
//!
//! ```text
//! recipient = [when-][point-]fault[@anything | .anything]
//! when      = once | twice     the first call, or the first two, of that key, whatever their type
//!             first-7          the first seven, and so on
//!             always           every call, inquiries and seals too
//!             (nothing)        every `notify` call
//! point     = unsent           before the receipt is claimed: nothing happened
//!             claimed          the receipt says `sending`, nothing was sent
//!             unmarked         the message went out, the receipt still says `sending`
//!             sent             the message went out, the receipt says `sent`
//! ```
//!
//! The point says how far the function came before the fault; each fault has its own default.
//!
//! | fault | what happens | default point |
//! |---|---|---|
//! | `fail-43101`, `fail-n604102` | sending fails with this code (n = minus) | – |
//! | `lookup-fail-n502001` | refused before the send step, step `lookup` | – |
//! | `no-openid` | the receiver knows no openid for this person | – |
//! | `returned-err-43101` | the function returns the SDK's error object instead of an answer | – |
//! | `in-progress` `unknown` `stale` `sealed` | the function answers this state and does nothing | – |
//! | `outer-45009`, `outer-n504002` | outer errcode | unsent |
//! | `scf-430` `scf-433` `scf-429` `scf-432` | outer errcode 0, the runtime's error object in `resp_data` | unsent |
//! | `throw` | the function throws at this point, which looks as [`crate::Switches::error_form`] says | sent |
//! | `slow-4s` `slow-800ms` | the function takes that long at this point; beyond its own timeout (3 s, see [`crate::Switches`]) it is killed there | claimed |
//! | `hang` | no answer, no end | sent |
//! | `reset-after-body` | RST instead of the reply | sent |
//! | `reset-unsent` | the same, nothing sent | unsent |
//! | `fin-after-body` `lost-reply` | FIN instead of the reply | sent |
//! | `html` `empty` `garbage` `half-json` `cut-body` `huge` | the reply is a web page; nothing; bytes; half the JSON; half the announced body; endless | sent |
//! | `quote-page` `quote-502` `quote-errmsg` `quote-message` | the reply quotes the request, its URL and the openid: over and over on a web page; on a gateway's page; as an errmsg; as the function's message | unsent |
//! | `dribble` `dribble-head` | the true reply, one byte a second; from the status line on | sent |
//! | `http-500` `http-503` `http-412` `http-418` … | this status, a web page | unsent |
//! | `http-503-retry-after-7` | the same with `Retry-After: 7` | unsent |
//! | `http-302` `http-301` `http-303` `http-307` `http-308` | a redirect to a host that counts its visitors | unsent |
//! | `wrong-key` `no-key` | the answer echoes another key; none | – |
//! | `object-resp` `string-resp` `triple-resp` | `resp_data` is an object; needs two parses inside; three | – |
//! | `undefined-resp` `-empty` `-text-null` `-null` | `resp_data` is missing; `""`; `"null"`; `null` | – |
//! | `text-codes` `errcode-camel` | numbers as texts; `errCode` and `errMsg` instead of `code` and `message` | – |

use std::time::Duration;

use crate::switches::UndefinedForm;

/// What a recipient's name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub when: When,
    pub point: Point,
    pub what: What,
}

/// Which calls of a key are hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    EveryNotify,
    First(u32),
    Always,
}

/// How far the function came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    Unsent,
    Claimed,
    Unmarked,
    Sent,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The subscribe-message API refuses with this code.
    Send(i32),
    /// The lookup fails with this code.
    Lookup(i32),
    NoOpenid,
    /// The function returns `{"errCode":…,"errMsg":…}`.
    ReturnedError(i32),
    /// The function answers this state without doing anything.
    State(&'static str),
    Outer(i32),
    /// The cloud function runtime's error object with this `statusCode`.
    Runtime(u16),
    Throw,
    Slow(Duration),
    Wire(Wire),
    Shape(Shape),
}

/// What happens to the reply's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    Hang,
    Reset,
    Close,
    Html,
    Empty,
    Garbage,
    HalfJson,
    CutBody,
    Huge,
    Quote(Quote),
    Dribble {
        head_too: bool,
    },
    Status {
        status: u16,
        retry_after: Option<u32>,
    },
    Redirect(u16),
}

/// Where a reply quotes what it was asked, secrets and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quote {
    Page,
    GatewayPage,
    Errmsg,
    Message,
}

/// What happens to the function's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    WrongKey,
    NoKey,
    /// `resp_data` as an object.
    Object,
    /// `resp_data` encoded so many times more than usual.
    Encoded(u8),
    Undefined(UndefinedForm),
    TextCodes,
    CamelErrcode,
}

impl Fault {
    /// Reads a recipient's name; `None` is a plain person.
    pub fn parse(recipient: &str) -> Option<Self> {
        let name = recipient.split(['@', '.']).next()?;
        let (when, name) = strip(
            name,
            &[
                ("once-", When::First(1)),
                ("twice-", When::First(2)),
                ("always-", When::Always),
            ],
        );
        let (when, name) = match (when, first(name)) {
            (None, Some((calls, rest))) => (Some(When::First(calls)), rest),
            (when, _) => (when, name),
        };
        let (point, name) = strip(
            name,
            &[
                ("unsent-", Point::Unsent),
                ("claimed-", Point::Claimed),
                ("unmarked-", Point::Unmarked),
                ("sent-", Point::Sent),
            ],
        );
        let (default, what) = what(name)?;
        Some(Self {
            when: when.unwrap_or(When::EveryNotify),
            point: point.unwrap_or(default),
            what,
        })
    }

    /// Whether the `nth` call of a key (from 1) is hit.
    pub(crate) fn hits(&self, is_notify: bool, nth: u32) -> bool {
        match self.when {
            When::EveryNotify => is_notify,
            When::First(calls) => nth <= calls,
            When::Always => true,
        }
    }
}

impl Wire {
    /// Reads the name of a wire fault.
    pub fn parse(name: &str) -> Option<Self> {
        match what(name)?.1 {
            What::Wire(wire) => Some(wire),
            _ => None,
        }
    }
}

fn strip<'a, T: Copy>(name: &'a str, prefixes: &[(&str, T)]) -> (Option<T>, &'a str) {
    for (prefix, meaning) in prefixes {
        if let Some(rest) = name.strip_prefix(prefix) {
            return (Some(*meaning), rest);
        }
    }
    (None, name)
}

/// `first-7-…`.
fn first(name: &str) -> Option<(u32, &str)> {
    let (calls, rest) = name.strip_prefix("first-")?.split_once('-')?;
    Some((calls.parse().ok()?, rest))
}

/// The table above, in code: a fault's name, its default point, its meaning.
fn what(name: &str) -> Option<(Point, What)> {
    use Point::{Claimed, Sent, Unsent};
    let wire = |point, wire| Some((point, What::Wire(wire)));
    let shape = |shape| Some((Sent, What::Shape(shape)));
    let state = |state| Some((Unsent, What::State(state)));
    match name {
        "no-openid" => Some((Unsent, What::NoOpenid)),
        "throw" => Some((Sent, What::Throw)),
        "in-progress" => state("in_progress"),
        "unknown" => state("unknown"),
        "stale" => state("stale"),
        "sealed" => state("sealed"),
        "hang" => wire(Sent, Wire::Hang),
        "reset-after-body" => wire(Sent, Wire::Reset),
        "reset-unsent" => wire(Unsent, Wire::Reset),
        "fin-after-body" | "lost-reply" => wire(Sent, Wire::Close),
        "html" => wire(Sent, Wire::Html),
        "empty" => wire(Sent, Wire::Empty),
        "garbage" => wire(Sent, Wire::Garbage),
        "half-json" => wire(Sent, Wire::HalfJson),
        "cut-body" => wire(Sent, Wire::CutBody),
        "huge" => wire(Sent, Wire::Huge),
        "quote-page" => wire(Unsent, Wire::Quote(Quote::Page)),
        "quote-502" => wire(Unsent, Wire::Quote(Quote::GatewayPage)),
        "quote-errmsg" => wire(Unsent, Wire::Quote(Quote::Errmsg)),
        "quote-message" => wire(Unsent, Wire::Quote(Quote::Message)),
        "dribble" => wire(Sent, Wire::Dribble { head_too: false }),
        "dribble-head" => wire(Sent, Wire::Dribble { head_too: true }),
        "wrong-key" => shape(Shape::WrongKey),
        "no-key" => shape(Shape::NoKey),
        "object-resp" => shape(Shape::Object),
        "string-resp" => shape(Shape::Encoded(1)),
        "triple-resp" => shape(Shape::Encoded(2)),
        "undefined-resp" => shape(Shape::Undefined(UndefinedForm::Missing)),
        "undefined-resp-empty" => shape(Shape::Undefined(UndefinedForm::Empty)),
        "undefined-resp-text-null" => shape(Shape::Undefined(UndefinedForm::TextNull)),
        "undefined-resp-null" => shape(Shape::Undefined(UndefinedForm::Null)),
        "text-codes" => shape(Shape::TextCodes),
        "errcode-camel" => shape(Shape::CamelErrcode),
        _ => {
            if let Some(code) = name.strip_prefix("fail-") {
                Some((Unsent, What::Send(signed(code)?)))
            } else if let Some(code) = name.strip_prefix("lookup-fail-") {
                Some((Unsent, What::Lookup(signed(code)?)))
            } else if let Some(code) = name.strip_prefix("returned-err-") {
                Some((Unsent, What::ReturnedError(signed(code)?)))
            } else if let Some(code) = name.strip_prefix("outer-") {
                Some((Unsent, What::Outer(signed(code)?)))
            } else if let Some(status) = name.strip_prefix("scf-") {
                Some((Unsent, What::Runtime(status.parse().ok()?)))
            } else if let Some(time) = name.strip_prefix("slow-") {
                Some((Claimed, What::Slow(duration(time)?)))
            } else {
                wire(Unsent, status(name.strip_prefix("http-")?)?)
            }
        }
    }
}

/// `43101`, or `n504002` for -504002.
fn signed(text: &str) -> Option<i32> {
    match text.strip_prefix('n') {
        Some(digits) => digits.parse::<i32>().ok().map(|code| -code),
        None => text.parse().ok(),
    }
}

/// `4s` or `800ms`.
fn duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(digits) => digits.parse().ok().map(Duration::from_millis),
        None => text
            .strip_suffix('s')?
            .parse()
            .ok()
            .map(Duration::from_secs),
    }
}

/// `500`, `503-retry-after-7`, `302`.
fn status(text: &str) -> Option<Wire> {
    let (status, retry_after) = match text.split_once("-retry-after-") {
        Some((status, seconds)) => (status, Some(seconds.parse().ok()?)),
        None => (text, None),
    };
    match status.parse().ok()? {
        redirect @ (301 | 302 | 303 | 307 | 308) => Some(Wire::Redirect(redirect)),
        status @ 200..=599 => Some(Wire::Status {
            status,
            retry_after,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(recipient: &str, when: When, point: Point, what: What) {
        assert_eq!(
            Fault::parse(recipient),
            Some(Fault { when, point, what }),
            "{recipient}"
        );
    }

    #[test]
    fn a_name_says_what_goes_wrong() {
        use Point::{Claimed, Sent, Unmarked, Unsent};
        use When::{Always, EveryNotify, First};
        check("fail-43101", EveryNotify, Unsent, What::Send(43101));
        check(
            "fail-n604102@zhang",
            EveryNotify,
            Unsent,
            What::Send(-604102),
        );
        check(
            "lookup-fail-n502001.7",
            EveryNotify,
            Unsent,
            What::Lookup(-502001),
        );
        check("outer-n504002", EveryNotify, Unsent, What::Outer(-504002));
        check("sent-scf-430", EveryNotify, Sent, What::Runtime(430));
        check(
            "slow-4s@a",
            EveryNotify,
            Claimed,
            What::Slow(Duration::from_secs(4)),
        );
        check(
            "once-unmarked-slow-800ms",
            First(1),
            Unmarked,
            What::Slow(Duration::from_millis(800)),
        );
        check("first-7-unsent-throw.a", First(7), Unsent, What::Throw);
        check("always-hang", Always, Sent, What::Wire(Wire::Hang));
        check(
            "twice-reset-unsent",
            First(2),
            Unsent,
            What::Wire(Wire::Reset),
        );
        let busy = Wire::Status {
            status: 503,
            retry_after: Some(7),
        };
        check(
            "http-503-retry-after-7",
            EveryNotify,
            Unsent,
            What::Wire(busy),
        );
        check(
            "http-307",
            EveryNotify,
            Unsent,
            What::Wire(Wire::Redirect(307)),
        );
    }

    #[test]
    fn an_unknown_name_is_a_plain_person() {
        for name in [
            "zhang",
            "u-17",
            "fail-",
            "fail-often",
            "slow-poke",
            "http-2",
            "once-upon",
            "sent-mail",
            "",
        ] {
            assert_eq!(Fault::parse(name), None, "{name}");
        }
    }
}
