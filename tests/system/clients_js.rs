use lentil_tests::{Packages, Server, available};

fn run(script: &str) {
    if let Some(js) = Packages::of_node("js") {
        js.run(script, &[], &mut Server::testapp());
    }
}

#[test]
fn the_js_http_client_calls_functions() {
    run("http.mjs");
}

#[test]
fn the_js_http_client_is_told_of_failures() {
    run("http_failures.mjs");
}

#[test]
fn in_production_failures_show_no_internals() {
    if let Some(js) = Packages::of_node("js") {
        js.run("production.mjs", &[], &mut Server::testapp_with(&[]));
    }
}

#[test]
fn the_js_websocket_client_calls_and_subscribes() {
    run("websocket.mjs");
}

#[test]
fn the_js_websocket_client_is_told_of_failures() {
    run("websocket_failures.mjs");
}

#[test]
fn the_js_websocket_client_sees_consistent_results() {
    run("consistency.mjs");
}

#[test]
fn the_js_websocket_client_pages() {
    run("pages.mjs");
}

#[test]
fn two_hundred_mutations_happen_once_each_through_kill_9() {
    run("restart.mjs");
}

#[test]
fn mutations_happen_once_each_through_lost_connections_and_a_stop() {
    run("cuts.mjs");
}

#[test]
fn a_slow_reader_gets_the_latest_and_holds_up_nobody() {
    run("slow_reader.mjs");
}

#[test]
fn a_thousand_clients_see_a_change() {
    run("crowd.mjs");
}

#[test]
fn an_idle_socket_is_kept_alive() {
    run("idle.mjs");
}

#[test]
fn users_sign_in_with_tokens() {
    const FLAGS: &[&str] = &[
        "--auth-config-json",
        include_str!("../clients/js/auth_config.json"),
    ];
    if let Some(js) = Packages::of_node("js") {
        js.run("auth.mjs", &[], &mut Server::testapp_with(FLAGS));
    }
}

#[test]
fn the_command_line_of_convex_works() {
    run("cli.mjs");
}

#[test]
fn the_react_hooks_work_in_a_browser() {
    if available("chromium", "the React hooks in a browser") {
        run("react.mjs");
    }
}

#[test]
fn the_sync_protocol_keeps_its_promises() {
    run("wire.mjs");
}
