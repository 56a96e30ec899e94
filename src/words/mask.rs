//! What no output shows in full: phone numbers, and WeChat's name for a person.
//!
//! Masking works on any text, because a phone number hides in a payload, in a dedupe key and in what the
//! other side said about a failure.

use crate::delivery::clean;

/// Masks mobile numbers (`138****8000`) and openids (`oABC…`) wherever they stand in a text.
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
            mask_phones(word, &mut masked);
        }
        rest = after;
    }
    masked
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

/// Runs of exactly 11 digits starting with 1, or the same behind 86.
fn mask_phones(word: &str, into: &mut String) {
    let mut rest = word;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            let end = rest
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(rest.len());
            into.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let (run, after) = rest.split_at(digits);
        let country = if run.len() > 11 && run.starts_with("86") {
            2
        } else {
            0
        };
        let number = &run[country..];
        if number.len() == 11 && number.starts_with('1') {
            into.push_str(&run[..country]);
            into.push_str(&number[..3]);
            into.push_str("****");
            into.push_str(&number[7..]);
        } else {
            into.push_str(run);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::{glimpse, mask};

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
            ("customer_assigned", "customer_assigned"),
            ("王小明 / 李女士", "王小明 / 李女士"),
        ] {
            assert_eq!(mask(text), expected);
        }
    }
}
