//! Why not yet, said: one sentence, whose turn it is, and what to do.

use chrono::{DateTime, Utc};

use super::verdict::Said;
use super::{Lang, Voice, say};
use crate::catalogue::{Kind, Who, by_key, local};
use crate::delivery::clean;
use crate::notification::NotificationId;
use crate::outbox::inspect::{Notification, WhyNotYet};

impl Voice {
    /// The one reason in words.
    pub fn waiting(&self, why: &WhyNotYet, it: &Notification) -> Said {
        let calm = |happened: String| Said {
            happened,
            who: Who::Nobody,
            next: say!(self, "next.nothing"),
        };
        match why {
            WhyNotYet::InFlight {
                daemon,
                attempt,
                since,
                until,
                cancel_requested_by,
            } => {
                let happened = say!(
                    self,
                    "waiting.in_flight",
                    n = attempt,
                    daemon = clean(daemon),
                    since = self.when(*since)
                );
                match cancel_requested_by {
                    Some(by) => Said {
                        happened: say!(
                            self,
                            "waiting.cancel_requested",
                            happened = happened,
                            by = clean(by)
                        ),
                        who: Who::Nobody,
                        next: say!(self, "next.cancel_requested"),
                    },
                    None => Said {
                        happened,
                        who: Who::Nobody,
                        next: say!(self, "next.in_flight", until = self.exact(*until)),
                    },
                }
            }
            WhyNotYet::NewerFormat { version } => Said {
                happened: say!(self, "waiting.newer_format", version = version),
                who: Who::Operator,
                next: say!(self, "next.newer_format"),
            },
            WhyNotYet::CancelRequested { by } => Said {
                happened: say!(self, "waiting.cancelled_unheard", by = clean(by)),
                who: Who::Nobody,
                next: say!(self, "next.not_again"),
            },
            WhyNotYet::Superseded { by } => Said {
                happened: say!(self, "waiting.superseded", id = by),
                who: Who::Nobody,
                next: say!(self, "next.superseding", id = by),
            },
            WhyNotYet::Expired { at, .. } if *at > self.now => self.too_late_for_another(*at, it),
            WhyNotYet::Expired { at, held } => {
                let happened = say!(self, "waiting.expired", at = self.when(*at));
                let (who, next) = if *held {
                    // Whoever is to hear of it need not wait for its turn.
                    (Who::Support, say!(self, "next.expired_held"))
                } else {
                    (Who::Nobody, say!(self, "next.expiring"))
                };
                Said {
                    happened,
                    who,
                    next,
                }
            }
            WhyNotYet::Paused { by, since, reason } => Said {
                happened: say!(
                    self,
                    "waiting.paused",
                    app = clean(&it.app),
                    by = clean(by),
                    since = self.when(*since),
                    reason = self.given(reason.as_deref())
                ),
                who: Who::Operator,
                next: say!(self, "next.paused", app = clean(&it.app)),
            },
            WhyNotYet::BreakerOpen {
                until,
                since,
                reason,
                errcode,
                probing,
            } => {
                let cause = self.cause(reason.as_deref(), *errcode);
                let since = since.map_or_else(String::new, |since| {
                    say!(self, "waiting.since", at = self.when(since))
                });
                let (who, next) = self.breaker_remedy(reason.as_deref(), &it.app);
                let happened = if *probing {
                    say!(self, "waiting.probing", cause = cause, since = since)
                } else {
                    let until = self.when(*until);
                    say!(
                        self,
                        "waiting.breaker",
                        cause = cause,
                        since = since,
                        until = until
                    )
                };
                Said {
                    happened,
                    who,
                    next,
                }
            }
            WhyNotYet::RetryAt {
                at,
                attempt,
                reason,
                errcode,
                unknown,
                behind,
            } => {
                let cause = self.cause(reason.as_deref(), *errcode);
                let (n, at) = (attempt, self.when(*at));
                let resent = reason.as_deref() == Some(local::UNANSWERED_RESENT.key);
                let happened = match unknown {
                    false => say!(self, "waiting.retry", n = n, cause = cause, at = at),
                    true if resent => {
                        say!(self, "waiting.retry_resent", n = n, cause = cause, at = at)
                    }
                    true => say!(self, "waiting.retry_unknown", n = n, cause = cause, at = at),
                };
                calm(self.and_behind(happened, *behind))
            }
            WhyNotYet::AwaitingGrant {
                since,
                until,
                trouble,
            } => {
                let since = self.when(*since);
                let happened = match until {
                    Some(until) => say!(
                        self,
                        "waiting.awaiting_grant_until",
                        since = since,
                        until = self.when(*until)
                    ),
                    None => say!(self, "waiting.awaiting_grant", since = since),
                };
                match self.lasting(trouble.as_deref()) {
                    None => Said {
                        happened,
                        who: Who::Recipient,
                        next: say!(self, "next.awaiting_grant"),
                    },
                    // Whatever the user does, nobody hears of it.
                    Some(trouble) => {
                        let (who, next) = self.remedy(Some(trouble));
                        let cause = self.cause(Some(trouble), None);
                        Said {
                            happened: say!(
                                self,
                                "waiting.grants_unheard",
                                happened = happened,
                                cause = cause
                            ),
                            who,
                            next: say!(self, "next.grants_unheard", next = next, id = it.id),
                        }
                    }
                }
            }
            WhyNotYet::OnHold => Said {
                happened: say!(self, "waiting.on_hold"),
                who: Who::Support,
                next: say!(self, "next.on_hold", id = it.id),
            },
            WhyNotYet::Scheduled { at, behind } => {
                let happened = say!(self, "waiting.scheduled", at = self.when(*at));
                calm(self.and_behind(happened, *behind))
            }
            WhyNotYet::Behind {
                id,
                gives_way: true,
                ..
            } => Said {
                happened: say!(self, "waiting.behind_giving_way", id = id),
                who: Who::Support,
                next: say!(self, "next.behind_giving_way", id = id),
            },
            WhyNotYet::Behind {
                id,
                awaits_grant: false,
                ..
            } => Said {
                happened: say!(self, "waiting.behind", id = id),
                who: Who::Support,
                next: say!(self, "next.behind", id = id),
            },
            WhyNotYet::Behind {
                id,
                awaits_grant: true,
                ..
            } => Said {
                happened: say!(self, "waiting.behind_awaiting", id = id),
                who: Who::Support,
                next: say!(self, "next.behind_awaiting", id = id),
            },
            WhyNotYet::TakeOver {
                daemon,
                attempt,
                since,
            } => calm(match since {
                Some(since) => say!(
                    self,
                    "waiting.take_over",
                    daemon = clean(daemon),
                    n = attempt,
                    since = self.when(*since)
                ),
                None => say!(
                    self,
                    "waiting.take_over_clock",
                    daemon = clean(daemon),
                    n = attempt
                ),
            }),
            WhyNotYet::Queued { since, ahead, eta } => {
                let span = self.span(self.now - *since);
                let happened = if ahead.n == 0 && ahead.more {
                    // Those that were looked at all wait for others.
                    say!(self, "waiting.queued_far", span = span)
                } else {
                    say!(self, "waiting.queued", span = span, ahead = ahead)
                };
                match eta {
                    Some(eta) => Said {
                        happened,
                        who: Who::Nobody,
                        next: say!(self, "next.queued", eta = self.when(*eta)),
                    },
                    None => calm(happened),
                }
            }
            WhyNotYet::Unserved { since, others } => Said {
                happened: say!(
                    self,
                    "waiting.unserved",
                    app = clean(&it.app),
                    span = self.span(self.now - *since)
                ),
                who: Who::Operator,
                next: self.unserved_remedy(&it.app, others),
            },
        }
    }

    /// No attempt is due before its limit, which is ahead: what failed, if anything was tried, and what a person can do.
    fn too_late_for_another(&self, at: DateTime<Utc>, it: &Notification) -> Said {
        let at = self.when(at);
        let happened = if it.attempts > 0 {
            let cause = self.cause(it.last_reason.as_deref(), it.last_errcode);
            say!(
                self,
                "waiting.last_before_limit",
                n = it.attempts,
                cause = cause,
                at = at
            )
        } else {
            say!(self, "waiting.due_after_limit", at = at)
        };
        Said {
            happened,
            who: Who::Support,
            next: say!(self, "next.before_limit", id = it.id),
        }
    }

    /// Its time alone does not let it go.
    fn and_behind(&self, happened: String, behind: Option<NotificationId>) -> String {
        match behind {
            Some(id) => say!(self, "waiting.and_behind", happened = happened, id = id),
            None => happened,
        }
    }

    /// A cause that somebody has to put right; what passes by itself is nobody's turn.
    fn lasting<'a>(&self, key: Option<&'a str>) -> Option<&'a str> {
        key.filter(|key| by_key(key).is_none_or(|entry| matches!(entry.kind, Kind::Outage(_))))
    }

    /// What to do about an app nobody serves: with others served, its name is the first suspect.
    pub fn unserved_remedy(&self, app: &str, others: &[String]) -> String {
        let app = clean(app);
        if others.is_empty() {
            return say!(self, "next.unserved", app = app);
        }
        let others: Vec<String> = others.iter().map(|other| clean(other)).collect();
        let comma = match self.lang {
            Lang::En => ", ",
            Lang::Zh => "、",
        };
        say!(
            self,
            "next.unserved_others",
            app = app,
            others = others.join(comma)
        )
    }

    /// A reason a person typed, or the word for none.
    pub fn given(&self, reason: Option<&str>) -> String {
        match reason.map(clean).filter(|text| !text.trim().is_empty()) {
            Some(text) => text,
            None => say!(self, "given.none"),
        }
    }
}
