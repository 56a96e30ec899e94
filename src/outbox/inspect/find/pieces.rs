//! PURE: what a text typed into the search box is cut into, to be looked up in the search's index.
//!
//! The other side of `outboxd.write_search_slice` (`migrations/0015_shorter_walks.sql`), which cuts names, numbers and
//! keys into the same pieces. Whatever the index comes up with is read and compared before it is shown, so a piece
//! may be shared by strangers, but none may be missing.

use uuid::Uuid;

/// What comes next to a piece has 16 bits.
const NEXT: i32 = 1 << 16;

/// A text with so many digits is a telephone number to the index, and one with fewer a name.
const NUMBER: usize = 7;

/// How many characters of a text are cut up: eight pieces are enough to be rare together.
const NAME: usize = 9;

/// What a text may be, and how it is looked up as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The digits, when the text is the tail of a telephone number, with or without what people write in between.
    pub(super) tail: Option<String>,
    /// The text, when it is a part of a name.
    pub(super) name: Option<String>,
    /// Whatever is meant is found by one of these.
    pub(super) probes: Vec<Probe>,
}

/// What is looked up in each slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// A row that is meant has all of these.
    pub(super) pieces: Vec<String>,
    /// What comes next to the piece of a number, a key or a name of three characters leaves `remainder` then.
    pub(super) modulus: i32,
    pub(super) remainder: i32,
}

impl Wanted {
    pub(super) fn of(text: &str) -> Wanted {
        match tail(text) {
            Some(tail) => {
                let mut probes = vec![Probe::of_tail(&tail)];
                // With so few digits it may end a name, as in 王小明0042.
                if tail.len() < NUMBER {
                    probes.push(Probe::of_name(&tail));
                }
                Wanted {
                    tail: Some(tail),
                    name: None,
                    probes,
                }
            }
            None => {
                let name = text.to_lowercase();
                Wanted {
                    tail: None,
                    probes: vec![Probe::of_name(&name)],
                    name: Some(name),
                }
            }
        }
    }

    /// Whether its letters are written large or small; Chinese ones are not.
    pub(super) fn has_case(&self) -> bool {
        self.name
            .as_ref()
            .is_some_and(|name| *name != name.to_uppercase())
    }

    /// Fewer digits than the tail of a number has: they may stand in a name, and in the midst of any number.
    pub(super) fn is_digits(&self) -> bool {
        let digits = |name: &String| name.chars().all(|c| c.is_ascii_digit());
        self.name.as_ref().is_some_and(digits)
    }

    /// The digits of the tail as a regular expression, with whatever people write in between.
    pub(super) fn number(&self) -> Option<String> {
        let digits: Vec<String> = self.tail.as_ref()?.chars().map(String::from).collect();
        Some(digits.join("[^0-9]*"))
    }
}

impl Probe {
    fn of_name(name: &str) -> Probe {
        let characters: Vec<char> = name.chars().take(NAME).collect();
        if let [first, second, next] = characters[..] {
            return Probe {
                pieces: vec![String::from_iter([first, second])],
                modulus: NEXT,
                remainder: i32::try_from(u32::from(next) % NEXT.unsigned_abs()).unwrap_or(0),
            };
        }
        let long = characters.len().clamp(1, 2);
        let mut pieces: Vec<String> = characters
            .windows(long)
            .map(|piece| piece.iter().collect())
            .collect();
        pieces.sort_unstable();
        pieces.dedup();
        Probe {
            pieces,
            modulus: 1,
            remainder: 0,
        }
    }

    /// The last four digits, and up to four before them.
    fn of_tail(digits: &str) -> Probe {
        let (before, last) = digits.split_at(digits.len() - 4);
        let before = &before[before.len().saturating_sub(4)..];
        Probe {
            pieces: vec![format!("#{last}")],
            modulus: before.chars().fold(1, |modulus, _| modulus * 10),
            remainder: before.parse().unwrap_or(0),
        }
    }

    /// Its first three digits, and the next four.
    pub(super) fn of_key(key: Uuid) -> Probe {
        let digits = key.simple().to_string();
        Probe {
            pieces: vec![format!("={}", &digits[..3])],
            modulus: NEXT,
            remainder: i32::from_str_radix(&digits[3..7], 16).unwrap_or(0),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_into_the_pieces_of_what_it_may_be() {
        for (text, tail, pieces, next) in [
            ("李", None, "李", (1, 0)),
            ("李女士", None, "李女", (65_536, 0x58eb)),
            ("李女士𠮷", None, "士𠮷 女士 李女", (1, 0)),
            ("李女𠮷", None, "李女", (65_536, 0x0bb7)),
            ("欧阳欧阳", None, "欧阳 阳欧", (1, 0)),
            ("Wang", None, "an ng wa", (1, 0)),
            ("r2", None, "r2", (1, 0)),
            ("007", None, "00", (65_536, 0x37)),
            ("5678", Some("5678"), "#5678", (1, 0)),
            ("045678", Some("045678"), "#5678", (100, 4)),
            ("2345678", Some("2345678"), "#5678", (1000, 234)),
            ("13812345678", Some("13812345678"), "#5678", (10_000, 1234)),
            (
                "138-1234 5678",
                Some("13812345678"),
                "#5678",
                (10_000, 1234),
            ),
            (
                "+86 13812345678",
                Some("13812345678"),
                "#5678",
                (10_000, 1234),
            ),
        ] {
            let wanted = Wanted::of(text);
            assert_eq!(wanted.tail.as_deref(), tail, "{text}");
            let probe = &wanted.probes[0];
            assert_eq!(probe.pieces.join(" "), pieces, "{text}");
            assert_eq!((probe.modulus, probe.remainder), next, "{text}");
            let digits = tail.map_or(NUMBER, str::len);
            let in_a_name = (digits < NUMBER).then(|| Probe::of_name(tail.unwrap_or_default()));
            assert_eq!(wanted.probes.get(1), in_a_name.as_ref(), "{text}");
        }
        let number = Wanted::of("56-78").number();
        assert_eq!(number.as_deref(), Some("5[^0-9]*6[^0-9]*7[^0-9]*8"));
    }

    #[test]
    fn a_key_is_looked_up_by_its_first_seven_digits() {
        let key = "5f0ffff1-6f0e-4f0e-9d43-0a4d7e1c2b3a".parse().unwrap();
        let Probe {
            pieces,
            modulus,
            remainder,
        } = Probe::of_key(key);
        assert_eq!(
            (pieces.join(" "), modulus, remainder),
            ("=5f0".to_owned(), 65_536, 65_535)
        );
    }

    #[test]
    fn a_long_text_is_cut_up_until_its_pieces_are_rare() {
        assert_eq!(Probe::of_name(&"李王".repeat(40)).pieces, ["李王", "王李"]);
        let alphabet: String = ('一'..='十').take(100).collect();
        assert_eq!(Probe::of_name(&alphabet).pieces.len(), NAME - 1);
    }
}
