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
    use std::collections::BTreeSet;

    use super::super::{Routes, all};
    use super::DOCUMENT;

    #[test]
    fn every_route_under_api_is_described_and_nothing_else() {
        let document: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
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
