//! What no output shows in full: phone numbers, the numbers of identity cards, and WeChat's name for a person.
//!
//! Masking works on any text, because a phone number hides in a payload, in a dedupe key and in what the
//! other side said about a failure; and on numbers as people write them, with blanks and dashes, in full width. A field
//! that is known to hold a phone number has a way of its own, which has to recognise nothing ([`mask_phone`]).

mod payload;

pub use payload::mask_payload;

use crate::delivery::{acts_unseen, clean};

/// Masks mobile and identity numbers (`138****8000`, `138-****-8000`), numbers with their country or area, and openids
/// (`oABC…`) wherever they stand in a text.
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if !is_word(c) {
            masked.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if looks_like_openid(word) {
            masked.push_str(&word[..4]);
            masked.push('…');
        } else {
            masked.push_str(word);
        }
        rest = after;
    }
    mask_numbers(&masked)
}

/// Masks what is known to be a phone number, however it is written: of a landline or a foreign number, too, no more is
/// shown than the first three and the last four digits, and never fewer than four are hidden.
pub fn mask_phone(text: &str) -> String {
    let mut shown: Vec<char> = text.chars().collect();
    let digits: Vec<usize> = (0..shown.len())
        .filter(|at| shown[*at].is_numeric())
        .collect();
    let country = country(
        &digits
            .iter()
            .map(|at| folded(shown[*at]))
            .collect::<String>(),
    );
    hide(&mut shown, &digits[country..]);
    shown.into_iter().collect()
}

/// Text from outside, fit for a terminal, a page and any eye.
pub fn safe(text: &str) -> String {
    mask(&clean(text))
}

/// Where a text was found, without giving away more than who searched had typed: `李**`, `…5678`. Empty when
/// it is not there.
pub fn glimpse(value: &str, typed: &str) -> String {
    let lower = |c: char| c.to_lowercase().collect::<String>();
    let wanted: String = typed.chars().map(lower).collect();
    let characters: Vec<char> = value.chars().collect();
    let at = (0..characters.len()).find_map(|start| {
        // Lower case may be longer than upper case, so the lengths are compared in lower case.
        let mut seen = String::new();
        for (n, c) in characters[start..].iter().enumerate() {
            seen.push_str(&lower(*c));
            if seen == wanted {
                return Some((start, start + n + 1));
            }
            if !wanted.starts_with(&seen) {
                return None;
            }
        }
        None
    });
    let Some((start, end)) = at else {
        return same_number(value, typed);
    };
    let found = &characters[start..end];
    if found
        .iter()
        .all(|c| c.is_ascii_digit() || " -+".contains(*c))
    {
        let tail = found.len().saturating_sub(4);
        let before = if start + tail > 0 { "…" } else { "" };
        let after = if end < characters.len() { "…" } else { "" };
        let shown: String = found[tail..].iter().collect();
        return format!("{before}{shown}{after}");
    }
    let before = if start > 0 { "…" } else { "" };
    let after = if end < characters.len() { "…" } else { "" };
    format!("{before}{}**{after}", found[0])
}

/// The last digits, where a telephone number was typed in another way than it is written: with something between its
/// digits, with or without the country. Empty when it is another number.
fn same_number(value: &str, typed: &str) -> String {
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    let (value, wanted) = (digits(value), digits(typed));
    let short = value.len().min(wanted.len());
    if short < 4 || typed.chars().any(char::is_alphabetic) {
        return String::new();
    }
    let tail = |digits: &str, n: usize| digits[digits.len() - n..].to_owned();
    if tail(&value, short) == tail(&wanted, short) {
        format!("…{}", tail(&value, 4))
    } else {
        String::new()
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// 28 characters, the first an `o`: how WeChat names a user to one mini program.
fn looks_like_openid(word: &str) -> bool {
    word.len() == 28
        && word.starts_with('o')
        && word.bytes().any(|b| b.is_ascii_uppercase())
        && word.bytes().any(|b| b.is_ascii_lowercase())
}

/// The longest number that is looked for: an identity number.
const LONGEST: usize = 18;
/// What people put between two groups of digits at most: ` - `.
const BETWEEN: usize = 3;

fn mask_numbers(text: &str) -> String {
    let mut shown: Vec<char> = text.chars().collect();
    let mut at = 0;
    while at < shown.len() {
        match number_at(&shown, at) {
            Some(digits) => {
                at = digits[digits.len() - 1] + 1;
                let national: String = digits.iter().map(|at| folded(shown[*at])).collect();
                hide(&mut shown, &digits[country(&national)..]);
            }
            None => at += 1,
        }
    }
    shown.into_iter().collect()
}

/// Where the digits stand of the number that begins here, if one does: group by group, until they are one together.
fn number_at(text: &[char], start: usize) -> Option<Vec<usize>> {
    let is_digit = |at: usize| text.get(at).is_some_and(|c| folded(*c).is_ascii_digit());
    let is_letter = |at: usize| {
        text.get(at)
            .is_some_and(|c| folded(*c).is_ascii_alphanumeric() || *c == '_')
    };
    let before = start.checked_sub(1);
    if !is_digit(start) || before.is_some_and(is_digit) {
        return None;
    }
    let is_abroad = before.is_some_and(|at| folded(text[at]) == '+');
    let mut places = Vec::new();
    let mut digits = String::new();
    let mut first = 0;
    let mut at = start;
    let mut found = None;
    loop {
        while is_digit(at) && places.len() <= LONGEST + 4 {
            places.push(at);
            digits.push(folded(text[at]));
            at += 1;
        }
        if first == 0 {
            first = digits.len();
        }
        let last = text.get(at).map(|c| folded(*c).to_ascii_lowercase());
        if last == Some('x') && digits.len() == LONGEST - 1 && !is_letter(at + 1) {
            places.push(at);
            digits.push('x');
            first += usize::from(first == LONGEST - 1);
            at += 1;
        }
        // One in pieces stands alone; one in a piece may stand in a key, as in `crm:13800138000_7`.
        let stands_alone = !is_letter(at) && !before.is_some_and(is_letter);
        if is_number(&digits, first) && (first == digits.len() || stands_alone) {
            return Some(places);
        }
        if is_abroad && (8..=15).contains(&digits.len()) && !is_letter(at) {
            // There may be more of it.
            found = Some(places.clone());
        }
        let gap = (0..BETWEEN)
            .take_while(|n| text.get(at + n).is_some_and(|c| is_between(*c)))
            .count();
        if gap == 0 || !is_digit(at + gap) || digits.len() > LONGEST {
            return found;
        }
        at += gap;
    }
}

/// A mobile number, a landline with its area apart, or an identity number, whose middle is a birthday. `first`: how many
/// digits stand before the first gap.
fn is_number(digits: &str, first: usize) -> bool {
    let national = &digits[country(digits)..];
    let mut bytes = national.bytes();
    match (national.len(), bytes.next(), bytes.next()) {
        (11, Some(b'1'), Some(b'3'..=b'9')) => true,
        (11, Some(b'1'), _) => first == digits.len(),
        (11 | 12, Some(b'0'), Some(b'1'..=b'9')) => matches!(first, 3 | 4),
        (LONGEST, _, _) => {
            let within = |at: usize, long: usize, range: std::ops::RangeInclusive<u16>| {
                let part = national.get(at..at + long).map(str::parse);
                matches!(part, Some(Ok(n)) if range.contains(&n))
            };
            within(6, 4, 1900..=2099) && within(10, 2, 1..=12) && within(12, 2, 1..=31)
        }
        _ => false,
    }
}

/// How many digits China's own country code takes in front of a mobile number.
fn country(digits: &str) -> usize {
    let codes = ["86", "0086"].into_iter();
    codes
        .filter(|code| digits.starts_with(*code) && digits[code.len()..].starts_with('1'))
        .find(|code| digits.len() == code.len() + 11)
        .map_or(0, str::len)
}

/// Stars in the place of all but the first three and the last four of these, and of four at least, if there are four.
fn hide(text: &mut [char], digits: &[usize]) {
    let first = digits.len().saturating_sub(8).min(3);
    let last = if digits.len() > 4 { 4 } else { 0 };
    for at in &digits[first..digits.len() - last] {
        text[*at] = '*';
    }
}

/// As an ordinary keyboard types it: `８` is 8.
pub fn folded(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' => ' ',
        c => c,
    }
}

fn is_between(c: char) -> bool {
    // The last four are the hyphen that does not break, the two dashes and the minus. What is not seen parts nothing.
    acts_unseen(c)
        || matches!(
            folded(c),
            ' ' | '-' | '\u{a0}' | '\u{2010}' | '\u{2011}' | '\u{2013}' | '\u{2014}' | '\u{2212}'
        )
}

#[cfg(test)]
mod tests {
    use super::{glimpse, mask, mask_phone};

    #[test]
    fn a_glimpse_gives_away_no_more_than_was_typed() {
        for (value, typed, expected) in [
            ("李女士", "李女士", "李**"),
            ("李女士", "女士", "…女**"),
            ("请联系李女士，明天", "李女士", "…李**…"),
            ("13812345678", "5678", "…5678"),
            ("13812345678", "13812345678", "…5678"),
            ("13812345678", "1381", "1381…"),
            ("5678", "5678", "5678"),
            ("Wang Fang", "wang", "W**…"),
            ("İstanbul", "i̇s", "İ**…"),
            ("13812345678", "138-1234 5678", "…5678"),
            ("138 1234 5678", "13812345678", "…5678"),
            ("13812345678", "+86 13812345678", "…5678"),
            ("+86 138-1234-5678", "12345678", "…5678"),
            ("13812345678", "138-1234 5679", ""),
            ("5678", "x5678", ""),
            ("nothing", "else", ""),
        ] {
            assert_eq!(glimpse(value, typed), expected, "{value} {typed}");
        }
    }

    #[test]
    fn phones_and_openids_are_masked_wherever_they_stand() {
        for (text, expected) in [
            ("13800138000", "138****8000"),
            ("电话13800138000。", "电话138****8000。"),
            ("+86 13800138000", "+86 138****8000"),
            ("8613800138000", "86138****8000"),
            (r#"{"phone":"13800138000"}"#, r#"{"phone":"138****8000"}"#),
            ("crm:13800138000_7", "crm:138****8000_7"),
            ("id 1732262400000 stays", "id 1732262400000 stays"),
            ("20261122100231", "20261122100231"),
            ("oABCD1234efgh5678IJKL9012_-x", "oABC…"),
            ("openid oABCD1234efgh5678IJKL9012_-x?", "openid oABC…?"),
            ("138-0013-8000", "138-****-8000"),
            ("1 380 013 8000", "1 38* *** 8000"),
            ("１３８００１３８０００", "１３８****８０００"),
            ("（138 0013 8000）", "（138 **** 8000）"),
            ("+86 138 0013 8000", "+86 138 **** 8000"),
            ("0086-13800138000", "0086-138****8000"),
            ("+852 9123 4567", "+852 **** 4567"),
            ("010-62345678", "010-****5678"),
            ("0755 1234 5678。", "075* **** 5678。"),
            ("13800138000 13900139000", "138****8000 139****9000"),
            ("3 13800138000", "3 138****8000"),
            (
                "联系 138 0013 8000，身份证110101199003070011",
                "联系 138 **** 8000，身份证110***********0011",
            ),
            ("11010119900307001X。", "110***********001X。"),
            // An order's number, a time, a key, a large number: none of them is a person's.
            ("110101199913070011", "110101199913070011"),
            ("2026-11-22 13:29:17", "2026-11-22 13:29:17"),
            (
                "13812345-678a-4e1c-9d43-0a4d7e1c2b3a",
                "13812345-678a-4e1c-9d43-0a4d7e1c2b3a",
            ),
            ("12345678901234567890.10", "12345678901234567890.10"),
            ("customer_assigned", "customer_assigned"),
            ("王小明 / 李女士", "王小明 / 李女士"),
        ] {
            assert_eq!(mask(text), expected);
        }
    }

    #[test]
    fn a_field_of_phone_numbers_shows_none_however_it_is_written() {
        for (text, expected) in [
            ("13800138000", "138****8000"),
            ("138-0013-8000", "138-****-8000"),
            ("+86 13800138000", "+86 138****8000"),
            ("1 380 013 8000", "1 38* *** 8000"),
            ("010-62345678", "010-****5678"),
            ("+852 9123 4567", "+852 **** 4567"),
            ("62345678", "****5678"),
            ("6234567", "***4567"),
            ("8000", "****"),
            ("１３８００１３８０００", "１３８****８０００"),
            ("13800138000/13900139000", "138********/*******9000"),
            ("李女士 138 0013 8000", "李女士 138 **** 8000"),
            ("", ""),
        ] {
            assert_eq!(mask_phone(text), expected, "{text}");
        }
    }
}
