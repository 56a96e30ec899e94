//! What answers as the cloud function, as a command for [`Settings::deployed`](crate::Settings::deployed): the one of
//! this repository, `cloudfunctions/quickstartFunctions`, is deployed with an SDK by `tests/receiver/deployed.js` and run
//! by Node.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use clap::ValueEnum;

/// The choice of the demo and of the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Function {
    /// The simulator's own, which needs no Node.
    Sim,
    /// The deployed one, on WeChat's own SDK; slower.
    Node,
}

impl Function {
    pub fn command(self) -> Result<Vec<String>> {
        match self {
            Function::Sim => Ok(Vec::new()),
            Function::Node => command(None),
        }
    }
}

/// Runs the function on this version of the SDK, without one on the version that the function asks for.
pub fn command(sdk: Option<&str>) -> Result<Vec<String>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../receiver");
    let node = Command::new("node")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    ensure!(
        node.is_ok_and(|status| status.success()) && tests.join("node_modules/.installed").exists(),
        "the cloud function cannot run here: call `.ci/node ready` first, which fetches its packages"
    );
    let runner = tests.join("deployed.js").to_string_lossy().into_owned();
    Ok(["node", &runner]
        .into_iter()
        .chain(sdk)
        .map(str::to_owned)
        .collect())
}

/// The same for a test, which passes where the function cannot run, and says so; with
/// `OUTBOXD_TEST_NODE=required`, as `make test` sets it, the test fails instead.
pub fn for_test(sdk: Option<&str>) -> Option<Vec<String>> {
    match command(sdk) {
        Ok(command) => Some(command),
        Err(missing) => {
            let required =
                std::env::var_os("OUTBOXD_TEST_NODE").is_some_and(|how| how == "required");
            assert!(!required, "{missing}");
            #[expect(clippy::print_stderr, reason = "a test that looks at nothing says so")]
            {
                eprintln!("skipped: {missing}");
            }
            None
        }
    }
}
