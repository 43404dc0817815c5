use lentil_tests::{Packages, Server, available};

const PNG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/screenshot.png");

fn run(script: &str) {
    if !available("chromium", "the page in a browser")
        || !available("curl", "publishing as the page says")
    {
        return;
    }
    if let Some(js) = Packages::of_node("js") {
        let mut server = Server::clonk();
        js.run(script, &[&server.api_key(), PNG], &mut server);
    }
}

#[test]
fn the_page_is_live_in_a_browser() {
    run("page.mjs");
}

#[test]
fn the_page_speaks_the_sync_protocol_with_any_server() {
    run("page_wire.mjs");
}
