//! PURE: what a text typed into the search box is cut into, to be looked up in the search's index.
//!
//! The other side of `outboxd.write_search_slice` (`migrations/0010_search.sql`), which cuts names, numbers, keys and
//! recipients into the same pieces. Whatever the index comes up with is read and compared before it is shown, so a piece
//! may be shared by strangers, but none may be missing.

use uuid::Uuid;

/// How many characters of a name are cut up.
const NAME: usize = 32;

/// What a text may be, and the pieces it would have as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The digits, when the text is the tail of a telephone number, with or without what people write in between.
    pub(super) tail: Option<String>,
    /// The text, when it is a part of a name.
    pub(super) name: Option<String>,
    /// A row that is meant has all of these.
    pub(super) pieces: Vec<String>,
}

impl Wanted {
    pub(super) fn of(text: &str) -> Wanted {
        let tail = tail(text);
        let name = tail.is_none().then(|| text.to_lowercase());
        let pieces = match &tail {
            Some(digits) => of_tail(digits),
            None => of_name(&text.to_lowercase()),
        };
        Wanted { tail, name, pieces }
    }
}

/// At least four digits and nothing but what stands between digits. The country is left out: the number ends alike.
fn tail(text: &str) -> Option<String> {
    let between = |c: char| " -+()（）".contains(c);
    if text.chars().any(|c| !c.is_ascii_digit() && !between(c)) {
        return None;
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let national = match digits.strip_prefix("86") {
        Some(national) if national.len() == 11 => national,
        Some(_) | None => &digits,
    };
    (national.len() >= 4).then(|| national.to_owned())
}

fn of_tail(digits: &str) -> Vec<String> {
    let (before, last) = digits.split_at(digits.len() - 4);
    let mut pieces = vec![format!("#{last}")];
    if before.len() >= 3 {
        pieces.push(format!("~{}", &before[before.len() - 3..]));
    }
    pieces
}

fn of_name(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().take(NAME).collect();
    let long = characters.len().clamp(1, 2);
    let mut pieces: Vec<String> = characters
        .windows(long)
        .map(|piece| piece.iter().collect())
        .collect();
    pieces.sort_unstable();
    pieces.dedup();
    pieces
}

pub(super) fn of_recipient(recipient: &str) -> Vec<String> {
    vec![format!(">{recipient}")]
}

pub(super) fn of_key(key: Uuid) -> Vec<String> {
    let digits = key.simple().to_string();
    vec![format!("={}", &digits[..3]), format!("-{}", &digits[3..5])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_the_pieces_of_what_it_may_be() {
        for (text, tail, pieces) in [
            ("李", None, "李"),
            ("李女士", None, "女士 李女"),
            ("欧阳欧阳", None, "欧阳 阳欧"),
            ("Wang", None, "an ng wa"),
            ("r2", None, "r2"),
            ("007", None, "00 07"),
            ("5678", Some("5678"), "#5678"),
            ("345678", Some("345678"), "#5678"),
            ("2345678", Some("2345678"), "#5678 ~234"),
            ("13812345678", Some("13812345678"), "#5678 ~234"),
            ("138-1234 5678", Some("13812345678"), "#5678 ~234"),
            ("+86 13812345678", Some("13812345678"), "#5678 ~234"),
        ] {
            let wanted = Wanted::of(text);
            assert_eq!(wanted.tail.as_deref(), tail, "{text}");
            assert_eq!(wanted.pieces.join(" "), pieces, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_up_as_far_as_the_index_goes() {
        assert_eq!(of_name(&"李王".repeat(40)), ["李王", "王李"]);
        let alphabet: String = ('一'..='十').take(100).collect();
        assert_eq!(of_name(&alphabet).len(), NAME - 1);
    }
}
