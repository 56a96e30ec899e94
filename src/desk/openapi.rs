//! What the desk says to programs, described: `openapi.json`, with the prefix of this desk in it. The tests hold the
//! routes and their real answers to it.

use axum::response::Response;
use serde_json::{Value, json};

use super::trouble::Trouble;
use super::visit::{Visit, as_json};

const DOCUMENT: &str = include_str!("openapi.json");

pub(super) async fn document(visit: Visit) -> Result<Response, Trouble> {
    let mut document: Value = serde_json::from_str(DOCUMENT).map_err(anyhow::Error::from)?;
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["servers"] = json!([{"url": visit.at("/api")}]);
    Ok(as_json(&document))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::super::{Routes, all, audit, bulk, calls, dead, messages, overview};
    use super::DOCUMENT;

    /// What each path is asked for is what its handler knows: an address may hold that and nothing else.
    #[test]
    fn every_filter_is_described_and_nothing_else() {
        let known: BTreeMap<&str, &[&str]> = BTreeMap::from([
            ("/search", &["q"][..]),
            ("/messages", &messages::FILTERS),
            ("/messages/export.csv", messages::FILE_FILTERS),
            ("/messages/export.json", messages::FILE_FILTERS),
            ("/dead", &dead::FILTERS),
            ("/dead/export.csv", &dead::FILTERS),
            ("/calls", &calls::FILTERS),
            ("/calls/export.csv", calls::FILE_FILTERS),
            ("/audit", &audit::FILTERS),
            ("/audit/export.csv", audit::FILE_FILTERS),
            ("/audit/export.json", audit::FILE_FILTERS),
            ("/overview", &overview::FILTERS),
            ("/bulk", &bulk::FILTERS),
            ("/bulk/new", &bulk::filter::NAMES),
            ("/badge/{customer}/{recipient}", &["expires", "sig", "lang"]),
        ]);
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            let parameters = methods["get"]["parameters"].as_array();
            let described: BTreeSet<&str> = parameters
                .into_iter()
                .flatten()
                .filter(|it| it["in"] == "query")
                .map(|it| it["name"].as_str().unwrap())
                .collect();
            let known: BTreeSet<&str> = known
                .get(&**path)
                .into_iter()
                .flat_map(|names| names.iter().copied())
                .collect();
            assert_eq!(described, known, "{path}");
        }
    }

    #[test]
    fn every_route_under_api_is_described_and_nothing_else() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let described: BTreeSet<String> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .map(|path| format!("/api{path}"))
            .collect();
        let mut routes = Routes::of("");
        all(&mut routes);
        let served: BTreeSet<String> = routes
            .paths
            .into_iter()
            .filter(|path| path.starts_with("/api/"))
            .collect();
        assert_eq!(served, described);
    }
}
