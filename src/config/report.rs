//! What loading has to say: every mistake and every doubt, at once, in the reader's language.

use std::fmt;

use super::kind::Wrong;
use super::sources::Origin;
use super::words::Words;
use crate::delivery::clean;
use crate::lang::Lang;

/// One mistake or doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The setting, as people name it.
    pub setting: String,
    /// What was written; a secret stands here as `***`.
    pub value: Option<String>,
    pub origin: Option<Origin>,
    pub reason: Words,
    pub way_out: Words,
}

impl Finding {
    pub(super) fn new(setting: impl Into<String>, origin: Option<Origin>, wrong: Wrong) -> Self {
        Self {
            setting: setting.into(),
            value: None,
            origin,
            reason: wrong.reason,
            way_out: wrong.way_out,
        }
    }

    pub(super) fn showing(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// What is wrong, on one line.
    pub fn sentence(&self, lang: Lang) -> String {
        let mut sentence = clean(&self.setting);
        if let Some(value) = &self.value {
            let value = clean(value);
            sentence.push_str(&match lang {
                Lang::En => format!(" = \"{value}\""),
                Lang::Zh => format!(" =“{value}”"),
            });
        }
        if let Some(origin) = &self.origin {
            let origin = origin.words();
            let origin = clean(origin.in_lang(lang));
            sentence.push_str(&match lang {
                Lang::En => format!(" ({origin})"),
                Lang::Zh => format!("（{origin}）"),
            });
        }
        let reason = self.reason.in_lang(lang);
        match lang {
            Lang::En => format!("{sentence} {reason}"),
            Lang::Zh => format!("{sentence}：{reason}"),
        }
    }

    /// What to do about it.
    pub fn way_out(&self, lang: Lang) -> &str {
        self.way_out.in_lang(lang)
    }

    /// A doubt, on one line.
    pub fn warning(&self, lang: Lang) -> String {
        let (sentence, way_out) = (self.sentence(lang), self.way_out(lang));
        match lang {
            Lang::En => format!("warning: {sentence} → {way_out}"),
            Lang::Zh => format!("警告：{sentence} → {way_out}"),
        }
    }
}

/// The configuration cannot be used. Printed, it lists every mistake in the language that was asked for.
#[derive(Clone, Debug)]
pub struct Refused {
    pub lang: Lang,
    pub mistakes: Vec<Finding>,
    pub warnings: Vec<Finding>,
    pub(super) shown: Vec<super::print::Shown>,
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.mistakes.len();
        match self.lang {
            Lang::En if count == 1 => write!(f, "the configuration has 1 mistake:")?,
            Lang::En => write!(f, "the configuration has {count} mistakes:")?,
            Lang::Zh => write!(f, "配置有 {count} 处错误：")?,
        }
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let (sentence, way_out) = (mistake.sentence(self.lang), mistake.way_out(self.lang));
            write!(f, "\n{}. {sentence}\n   → {way_out}", index + 1)?;
        }
        Ok(())
    }
}

/// The settings do not fit their surroundings, and a restart will not mend it; in the reader's language, with the
/// way out.
#[derive(Debug)]
pub struct Misplaced(pub Words);

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.en)
    }
}

impl std::error::Error for Misplaced {}
