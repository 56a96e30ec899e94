//! Issues tokens, and answers the question of every other endpoint: does this token hold?
//!
//! `stable_token` in normal mode hands out the same token with what is left of its life; in the last five
//! minutes a new one, while both work. Force mode kills the old one at once. The tokens of the two
//! endpoints know nothing of each other.

use std::time::{Duration, Instant};

use crate::settings::Settings;
use crate::switches::Switches;

/// How every token begins.
const MARK: &str = "80_canary_token_";
/// Forced refreshes a day and app.
const FORCED_A_DAY: u32 = 20;
/// Tokens remembered after their end, so that "expired" and "never existed" get their own codes.
const REMEMBERED: usize = 64;

/// Both kinds of token, and the endpoints' quota.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    stable: Slot,
    plain: Slot,
    minute: Option<(Instant, u32)>,
    today: u32,
}

/// The tokens of one endpoint, the current one last.
#[derive(Debug, Default)]
struct Slot {
    tokens: Vec<Token>,
    forced: Vec<Instant>,
}

#[derive(Debug)]
struct Token {
    text: String,
    until: Instant,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Lives until `until`.
    Natural,
    /// Another one took its place.
    Killed,
    /// Still handed out, but no longer accepted.
    Poisoned,
}

impl Tokens {
    /// `stable_token`.
    pub(crate) fn stable(
        &mut self,
        settings: &Settings,
        is_forced: bool,
    ) -> Result<(String, Duration), i32> {
        let now = Instant::now();
        if is_forced {
            self.stable.forced(settings, now)
        } else {
            Ok(self.stable.normal(settings, now))
        }
    }

    /// `/cgi-bin/token`.
    pub(crate) fn plain(&mut self, settings: &Settings) -> (String, Duration) {
        self.plain.fetch(settings, Instant::now())
    }

    /// What is wrong with a token on an ordinary API call.
    pub(crate) fn check(&self, text: &str) -> Result<(), i32> {
        if text.is_empty() {
            return Err(41001);
        }
        let now = Instant::now();
        let Some(token) = [&self.stable, &self.plain]
            .into_iter()
            .find_map(|slot| slot.find(text))
        else {
            return Err(40014);
        };
        match token.end {
            End::Killed | End::Poisoned => Err(40001),
            End::Natural if now >= token.until => Err(42001),
            End::Natural => Ok(()),
        }
    }

    /// Another server forced a refresh: what we handed out is void, and a new one is current.
    pub(crate) fn revoke(&mut self) {
        self.each(|token| token.end = End::Killed);
    }

    pub(crate) fn expire(&mut self) {
        self.each(|token| token.until = Instant::now());
    }

    pub(crate) fn poison(&mut self) {
        self.each(|token| token.end = End::Poisoned);
    }

    fn each(&mut self, change: impl Fn(&mut Token)) {
        self.stable
            .tokens
            .iter_mut()
            .chain(&mut self.plain.tokens)
            .for_each(change);
    }

    /// Counts a call against the quota of the minute and of the day.
    pub(crate) fn count(&mut self, switches: &Switches) -> Result<(), i32> {
        let now = Instant::now();
        let (started, in_minute) = self
            .minute
            .filter(|(started, _)| now - *started < Duration::from_secs(60))
            .unwrap_or((now, 0));
        self.minute = Some((started, in_minute + 1));
        self.today += 1;
        if self.today > switches.token_calls_per_day {
            return Err(45009);
        }
        if in_minute >= switches.token_calls_per_minute {
            return Err(45011);
        }
        Ok(())
    }
}

impl Slot {
    /// Normal mode: the current token, or a new one shortly before its end.
    fn normal(&mut self, settings: &Settings, now: Instant) -> (String, Duration) {
        let overlap = settings.overlap();
        match self.tokens.last() {
            Some(token) if token.end != End::Killed && token.until > now + overlap => {
                (token.text.clone(), token.until - now)
            }
            _ => self.issue(settings.token_lifetime, now),
        }
    }

    /// Force mode: a new token, and the previous ones die at once.
    fn forced(&mut self, settings: &Settings, now: Instant) -> Result<(String, Duration), i32> {
        if self
            .forced
            .last()
            .is_some_and(|&last| now - last < settings.forced_refresh_gap)
        {
            return Ok(self.normal(settings, now));
        }
        self.forced
            .retain(|&at| now - at < Duration::from_secs(86_400));
        if self.forced.len() as u32 >= FORCED_A_DAY {
            return Err(45009);
        }
        self.forced.push(now);
        self.tokens
            .iter_mut()
            .filter(|token| token.until > now)
            .for_each(|token| token.end = End::Killed);
        Ok(self.issue(settings.token_lifetime, now))
    }

    /// `/cgi-bin/token`: always a new one; the old one lives on for the overlap.
    fn fetch(&mut self, settings: &Settings, now: Instant) -> (String, Duration) {
        let latest = now + settings.overlap();
        self.tokens
            .iter_mut()
            .for_each(|token| token.until = token.until.min(latest));
        self.issue(settings.token_lifetime, now)
    }

    fn issue(&mut self, lifetime: Duration, now: Instant) -> (String, Duration) {
        // 512 characters, the most that WeChat tells us to keep room for; the first of them betray a token that
        // got where it must not be.
        let text: String = std::iter::once(MARK.to_owned())
            .chain((0..31).map(|_| format!("{:016x}", rand::random::<u64>())))
            .collect();
        if self.tokens.len() >= REMEMBERED {
            self.tokens.remove(0);
        }
        self.tokens.push(Token {
            text: text.clone(),
            until: now + lifetime,
            end: End::Natural,
        });
        (text, lifetime)
    }

    fn find(&self, text: &str) -> Option<&Token> {
        // The current one first: it is nearly always that.
        self.tokens.iter().rev().find(|token| token.text == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(lifetime_s: u64) -> Settings {
        Settings {
            token_lifetime: Duration::from_secs(lifetime_s),
            ..Settings::default()
        }
    }

    #[test]
    fn normal_mode_keeps_one_token_and_overlaps_at_its_end() {
        let (settings, start) = (settings(7200), Instant::now());
        let mut slot = Slot::default();
        let (first, left) = slot.normal(&settings, start);
        assert_eq!(left, Duration::from_secs(7200));
        let (again, left) = slot.normal(&settings, start + Duration::from_secs(6899));
        assert_eq!((again, left), (first.clone(), Duration::from_secs(301)));
        let (second, left) = slot.normal(&settings, start + Duration::from_secs(6900));
        assert_ne!(second, first);
        assert_eq!(left, Duration::from_secs(7200));
        let old = slot.find(&first).unwrap();
        assert_eq!(
            (old.end, old.until - start),
            (End::Natural, Duration::from_secs(7200))
        );
    }

    #[test]
    fn force_mode_kills_the_old_one_and_has_its_limits() {
        let (settings, start) = (settings(1_000_000), Instant::now());
        let mut slot = Slot::default();
        let (first, _) = slot.normal(&settings, start);
        let (second, _) = slot.forced(&settings, start).unwrap();
        assert_eq!(slot.find(&first).unwrap().end, End::Killed);
        let (soon, _) = slot
            .forced(&settings, start + Duration::from_secs(29))
            .unwrap();
        assert_eq!(soon, second, "two forced refreshes lie 30 s apart");
        for n in 1..20 {
            slot.forced(&settings, start + Duration::from_secs(30 * n))
                .unwrap();
        }
        assert_eq!(
            slot.forced(&settings, start + Duration::from_secs(30 * 20)),
            Err(45009)
        );
    }
}
