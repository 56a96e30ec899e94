//! Where settings come from: the sources as they are handed in, and the name of the one that spoke.
//!
//! [`Sources`] is all that loading may look at, so a test is a few maps and nothing global.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::words::{Words, words};

/// Everything loading may look at.
pub struct Sources {
    /// What was typed: flag without dashes → value. `config` names the file; the others are those of
    /// [`super::setting::Setting::flag`].
    pub flags: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    /// Reads `.env`, the configuration file, files that hold secrets, and the host's name.
    pub read_file: Box<ReadFile>,
}

/// Reads a file, or says why not.
pub type ReadFile = dyn Fn(&Path) -> io::Result<FileText>;

/// A file's text, and whether every user of the machine may read it.
#[derive(Clone, Debug)]
pub struct FileText {
    pub text: String,
    pub open_to_all: bool,
}

impl Sources {
    /// The real ones: this process's environment and the file system.
    pub fn from_system(flags: BTreeMap<String, String>) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            flags,
            env,
            read_file: Box::new(read_file),
        }
    }

    /// A variable that has a value; an empty one counts as absent, as compose files leave them behind.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        let value = self.env.get(name)?.trim();
        (!value.is_empty()).then_some(value)
    }
}

fn read_file(path: &Path) -> io::Result<FileText> {
    let open_to_all = open_to_all(&fs::metadata(path)?);
    let text = fs::read_to_string(path)?;
    Ok(FileText { text, open_to_all })
}

#[cfg(unix)]
fn open_to_all(file: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn open_to_all(_file: &fs::Metadata) -> bool {
    false
}

/// Which source gave a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag, without its dashes.
    Flag(String),
    Variable(String),
    /// Several variables that make one value together.
    Variables(Vec<String>),
    Dotenv {
        line: usize,
    },
    /// A file of systemd's `$CREDENTIALS_DIRECTORY`.
    Credential(String),
    /// The configuration file, and the key in it.
    File {
        path: String,
        key: String,
    },
    /// A file of its own, and the setting that names it.
    NamedBy(String),
    Default,
}

impl Origin {
    /// The origin as messages and `config show` name it.
    pub fn words(&self) -> Words {
        match self {
            Origin::Flag(name) => words!("flag --{name}", "命令行参数 --{name}"),
            Origin::Variable(name) => words!("environment variable {name}", "环境变量 {name}"),
            Origin::Variables(names) => {
                let names = names.join(" ");
                words!("environment variables {names}", "环境变量 {names}")
            }
            Origin::Dotenv { line } => words!(".env line {line}", ".env 第 {line} 行"),
            Origin::Credential(name) => words!("systemd credential {name}", "systemd 凭据 {name}"),
            Origin::File { path, key } if key.is_empty() => Words::same(path),
            Origin::File { path, key } => Words::same(format!("{path}: {key}")),
            Origin::NamedBy(name) => words!("file named by {name}", "{name} 指向的文件"),
            Origin::Default => Words::new("default", "默认值"),
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::{FileText, Sources};

    #[test]
    fn a_real_file_tells_who_may_read_it() {
        let path = std::env::temp_dir().join(format!("outboxd-config-{}", std::process::id()));
        fs::write(&path, "text\n").unwrap();
        let sources = Sources::from_system(Default::default());
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let FileText { text, open_to_all } = (sources.read_file)(&path).unwrap();
            assert_eq!((&*text, open_to_all), ("text\n", open), "{mode:o}");
        }
        fs::remove_file(&path).unwrap();
        assert!((sources.read_file)(&path).is_err());
    }
}
