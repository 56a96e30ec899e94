//! Text that a template can bear: no line breaks, nothing invisible, no emoji, and cut where a reader would cut. Pure.
//!
//! The ranges are those of the cloud function's `text.js`, one for one, and one table of cases holds both to them.
//! Lengths are in UTF-16 units, as most senders count.

use serde_json::{Number, Value};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// The largest whole number JavaScript reads exactly. Beyond it the function sees a rounded one, and a rounded
/// number is a wrong one.
const MAX_SAFE: f64 = 9_007_199_254_740_991.0;

/// A value as clean text; none when it has nothing to show.
pub(super) fn clean(value: &Value) -> Option<String> {
    clean_text(&as_text(value)?)
}

pub(super) fn clean_text(text: &str) -> Option<String> {
    let mut cleaned = String::with_capacity(text.len().min(256));
    for c in text.chars().filter(|&c| !is_left_out(c)) {
        if c.is_control() || is_space(c) {
            if !cleaned.ends_with(' ') {
                cleaned.push(' ');
            }
        } else {
            cleaned.push(c);
        }
    }
    let cleaned = cleaned.trim_matches(' ');
    is_visible(cleaned).then(|| cleaned.to_owned())
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => number_text(number),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number as JavaScript writes it.
fn number_text(number: &Number) -> Option<String> {
    let number = number.as_f64().filter(|number| number.is_finite())?;
    if number.fract() == 0.0 && number.abs() > MAX_SAFE {
        return None;
    }
    // Canonical JSON writes numbers as JavaScript does.
    serde_json_canonicalizer::to_string(&number).ok()
}

/// At most `limit` units, of which the last is `mark` where something was left out; none when not even the first
/// cluster fits.
pub(super) fn cut(text: &str, limit: usize, mark: &str) -> Option<String> {
    if units(text) <= limit {
        return Some(text.to_owned());
    }
    let room = limit - units(mark);
    let (mut kept, mut taken) = (0, 0);
    while kept < text.len() {
        let cluster = cluster(&text[kept..]);
        if taken + units(cluster) > room {
            break;
        }
        taken += units(cluster);
        kept += cluster.len();
    }
    let kept = text[..kept].trim_matches(is_space);
    is_visible(kept).then(|| format!("{kept}{mark}"))
}

pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// What a reader sees as one: a character with its marks, and the parts of a Korean syllable.
fn cluster(text: &str) -> &str {
    let is_lead = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{a960}'..='\u{a97c}');
    let rest = text.trim_start_matches(is_lead);
    // A run of leads to the very end: its last one is the character itself.
    let rest = rest.chars().next().map_or("", |c| &rest[c.len_utf8()..]);
    let rest = rest.trim_start_matches(is_attached);
    &text[..text.len() - rest.len()]
}

fn is_attached(c: char) -> bool {
    is_mark(c)
        || matches!(c, '\u{0e33}' | '\u{0eb3}' | '\u{1161}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}' | '\u{ff9e}' | '\u{ff9f}')
}

fn is_mark(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Mark
}

/// A digit or another sign of a number, in any script.
pub(super) fn is_number(c: char) -> bool {
    c.general_category_group() == GeneralCategoryGroup::Number
}

fn is_visible(text: &str) -> bool {
    text.chars().any(|c| !is_mark(c) && !is_space(c))
}

/// White space by JavaScript's count, which knows U+FEFF and not U+0085.
pub(super) fn is_space(c: char) -> bool {
    c == '\u{feff}' || c.is_whitespace() && c != '\u{85}'
}

/// Full-width letters, digits and signs as their plain forms.
pub(super) fn narrow(text: &str) -> String {
    let plain = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        c => c,
    };
    text.chars().map(plain).collect()
}

/// Beyond the basic plane only hanzi stay; of it, neither what is invisible nor emoji.
fn is_left_out(c: char) -> bool {
    match c {
        '\u{20000}'..='\u{3ffff}' => false,
        '\u{10000}'.. => true,
        c => is_invisible(c) || is_emoji(c),
    }
}

/// Soft hyphen, joiners, fillers, direction marks and overrides, signs that enclose others, variation selectors,
/// keycaps, private use.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}'
        | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{20e3}' | '\u{2800}'
        | '\u{3164}' | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}')
}

fn is_emoji(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2194}'..='\u{2199}'
        | '\u{21a9}' | '\u{21aa}' | '\u{231a}' | '\u{231b}' | '\u{2328}' | '\u{2388}' | '\u{23cf}'
        | '\u{23e9}'..='\u{23f3}' | '\u{23f8}'..='\u{23fa}' | '\u{24c2}' | '\u{25aa}' | '\u{25ab}' | '\u{25b6}'
        | '\u{25c0}' | '\u{25fb}'..='\u{25fe}' | '\u{2600}'..='\u{27bf}' | '\u{2934}' | '\u{2935}'
        | '\u{2b05}'..='\u{2b07}' | '\u{2b1b}' | '\u{2b1c}' | '\u{2b50}' | '\u{2b55}' | '\u{3030}' | '\u{303d}'
        | '\u{3297}' | '\u{3299}')
}
