//! The rule of each type of template field: any value in, a text that WeChat takes out, or none when the value has
//! nothing to offer. So a message is never refused as "argument invalid", whatever the CRM wrote. Pure.
//!
//! Where a cut would make a different thing (a number, a plate, a telephone), the value is left out instead; the
//! field's fallback stands in then, and in the last resort [`Kind::last`]. The cloud function's `rules.js` is the
//! same in JavaScript.

use chrono::TimeZone;
use serde_json::Value;

use super::Field;
use super::moment::{self, date_text, time_text};
use super::text::{clean, clean_text, cut, is_number, narrow, units};

macro_rules! kinds {
    ($($kind:ident $word:literal $last:expr;)+) => {
        /// The type of a field.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Kind { $($kind),+ }

        impl Kind {
            #[cfg(test)]
            pub(super) const ALL: &[Kind] = &[$(Kind::$kind),+];

            pub(super) fn named(word: &str) -> Option<Kind> {
                match word { $($word => Some(Kind::$kind),)+ _ => None }
            }

            #[cfg(test)]
            pub(super) fn word(self) -> &'static str {
                match self { $(Kind::$kind => $word),+ }
            }

            /// What stands in when neither value nor fallback has anything to offer.
            pub(super) fn last(self) -> Option<&'static str> {
                match self { $(Kind::$kind => $last),+ }
            }
        }
    };
}

kinds! {
    Thing "thing" Some("-");
    Number "number" Some("0");
    Letter "letter" Some("NA");
    Symbol "symbol" Some("-");
    CharacterString "character_string" Some("-");
    // The time of the event stands in.
    Time "time" None;
    Date "date" None;
    Amount "amount" Some("0元");
    PhoneNumber "phone_number" Some("0");
    CarNumber "car_number" Some("无");
    Name "name" Some("-");
    Phrase "phrase" Some("无");
    // The first of the listed ones stands in.
    Enum "enum" None;
    EnumString "enum_string" None;
    Const "const" None;
}

impl Kind {
    /// Whether it takes only what the template lists.
    pub(super) fn is_listed(self) -> bool {
        matches!(self, Kind::Enum | Kind::EnumString | Kind::Const)
    }

    /// The value by this type's rule.
    pub(super) fn text(self, value: &Value, field: &Field, zone: &impl TimeZone) -> Option<String> {
        match self {
            Kind::Time => time(value, field, zone),
            Kind::Date => date(value, field, zone),
            of_text => of_text.rule(&clean(value)?, field),
        }
        .filter(|text| !text.is_empty())
    }

    fn rule(self, text: &str, field: &Field) -> Option<String> {
        match self {
            Kind::Thing => cut(text, 20, "…"),
            Kind::Number => number(text, 32),
            Kind::Letter => Some(only(&narrow(text), |c| c.is_ascii_alphabetic(), 32)),
            Kind::Symbol => Some(only(&narrow(text), |c| c.is_ascii_punctuation(), 5)),
            Kind::CharacterString => Some(only(
                &narrow(text).replace(' ', "-"),
                |c| c.is_ascii_graphic(),
                32,
            )),
            Kind::Amount => amount(text),
            Kind::PhoneNumber => phone(text),
            Kind::CarNumber => plate(text),
            Kind::Name => name(text),
            Kind::Phrase => Some(only(text, is_hanzi, 5)),
            Kind::Enum | Kind::EnumString | Kind::Const => {
                field.lists(text).then(|| text.to_owned())
            }
            Kind::Time | Kind::Date => None, // Not of text alone.
        }
    }
}

fn only(text: &str, fits: impl Fn(char) -> bool, most: usize) -> String {
    text.chars().filter(|&c| fits(c)).take(most).collect()
}

fn is_hanzi(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

/// The one number in a text: `12个` is 12. Two numbers, or one below zero, are none.
fn number(text: &str, most: usize) -> Option<String> {
    let plain = without_separators(&narrow(text));
    let mut found = None;
    let mut rest = &plain[..];
    while let Some(at) = rest.find(is_digit) {
        let (whole, behind) = run(&rest[at..]);
        let (decimals, behind) = match behind.strip_prefix('.').map(run) {
            Some((decimals, behind)) if !decimals.is_empty() => (decimals, behind),
            Some(_) | None => ("", behind),
        };
        // `1e5` is not 1, and `1.2.3` no number.
        let odd = behind.starts_with(['e', 'E']) || !decimals.is_empty() && behind.starts_with('.');
        if odd || found.is_some() {
            return None;
        }
        found = Some((whole, decimals));
        rest = behind;
    }
    let (whole, decimals) = found?;
    if plain.contains(['-', '\u{2212}']) || is_version(&plain) || whole.len() > most {
        return None;
    }
    let room = most.saturating_sub(whole.len() + 1).min(decimals.len());
    Some(match &decimals[..room] {
        "" => whole.to_owned(),
        decimals => format!("{whole}.{decimals}"),
    })
}

/// Digits between two points.
fn is_version(text: &str) -> bool {
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('.') {
        let (between, after) = run(behind);
        if !between.is_empty() && after.starts_with('.') {
            return true;
        }
        rest = behind;
    }
    false
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// The digits in front, and what follows them.
fn run(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c| !is_digit(c)).unwrap_or(text.len()))
}

/// `1,234` and `1 234` as 1234: a sign between a digit and exactly three.
fn without_separators(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let separates = matches!(c, ',' | ' ')
            && text[..at].ends_with(is_digit)
            && run(&text[at + 1..]).0.len() == 3;
        if !separates {
            plain.push(c);
        }
    }
    plain
}

/// With its currency sign, or with 元 behind it: whether WeChat takes a bare number is not known.
fn amount(text: &str) -> Option<String> {
    let number = number(text, 10)?;
    Some(match text.chars().find(|c| "￥¥$€£".contains(*c)) {
        None => format!("{number}元"),
        Some('¥') => format!("￥{number}"),
        Some(sign) => format!("{sign}{number}"),
    })
}

/// The first telephone number in a text, without its spaces and brackets.
fn phone(text: &str) -> Option<String> {
    let text = narrow(text);
    let first = text.find(is_digit)?;
    let start = if text[..first].ends_with('+') {
        first - 1
    } else {
        first
    };
    let number = &text[start..];
    // The sign in front belongs to it, whatever it is.
    let end = number[1..].find(|c| !(is_digit(c) || "-+ ().".contains(c)));
    let number = &number[..end.map_or(number.len(), |end| end + 1)];
    let number: String = number
        .chars()
        .filter(|&c| is_digit(c) || "+-".contains(c))
        .collect();
    let number = number.trim_end_matches(['-', '+']);
    (number.len() <= 17).then(|| number.to_owned())
}

fn plate(text: &str) -> Option<String> {
    let mut found = narrow(text);
    found.retain(|c| !" ·.-•".contains(c));
    let found = found.to_uppercase();
    let middle = found.strip_prefix(is_hanzi).unwrap_or(&found);
    let middle = middle.strip_suffix(is_hanzi).unwrap_or(middle);
    let plain = |c: char| c.is_ascii_uppercase() || is_digit(c);
    let fits = !middle.is_empty() && middle.chars().all(plain) && units(&found) <= 8;
    fits.then_some(found)
}

/// Ten with hanzi in it, twenty without; no digit of any script.
fn name(text: &str) -> Option<String> {
    let left = clean_text(&text.replace(is_number, ""))?;
    // Letters that take the room of one in a name of twenty: Latin, with its accents, and plain signs.
    let latin = |c: char| matches!(c, '\u{20}'..='\u{24f}' | '\u{300}'..='\u{36f}' | '\u{2010}'..='\u{2027}');
    cut(&left, if left.chars().all(latin) { 20 } else { 10 }, "")
}

fn time(value: &Value, field: &Field, zone: &impl TimeZone) -> Option<String> {
    let at = moment::read(value, zone)?;
    let time = time_text(at.time?);
    Some(match at.date.filter(|_| field.show() != Some("time")) {
        Some(date) => format!("{} {time}", date_text(date)),
        None => time,
    })
}

fn date(value: &Value, field: &Field, zone: &impl TimeZone) -> Option<String> {
    let at = moment::read(value, zone)?;
    let date = date_text(at.date?);
    Some(match at.time.filter(|_| field.show() == Some("datetime")) {
        Some(time) => format!("{date} {}", time_text(time)),
        None => date,
    })
}
