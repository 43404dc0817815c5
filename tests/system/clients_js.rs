//! The official JavaScript client, each test with each of two versions.

use lentil_tests::{Packages, Server, available};

macro_rules! clients {
    ($($name:ident: $script:literal on $server:expr;)*) => {
        mod npm_1_49 {
            use super::*;

            $(#[test]
            fn $name() {
                run(Packages::of_node("js"), $script, || $server);
            })*
        }

        mod npm_1_48 {
            use super::*;

            $(#[test]
            fn $name() {
                run(Packages::of_node_and_convex("js", "1.48.0"), $script, || $server);
            })*
        }
    };
}

clients! {
    the_js_http_client_calls_functions: "http.mjs" on Server::testapp();
    the_js_http_client_gets_failures: "http_failures.mjs" on Server::testapp();
    failures_in_production_show_no_internals: "production.mjs" on Server::testapp_with(&[]);
    the_js_websocket_client_calls_and_subscribes: "websocket.mjs" on Server::testapp();
    the_js_websocket_client_gets_failures: "websocket_failures.mjs" on Server::testapp();
    the_js_websocket_client_sees_consistent_results: "consistency.mjs" on Server::testapp();
    the_js_websocket_client_paginates: "pages.mjs" on Server::testapp();
    the_js_client_measures_its_connection: "measurements.mjs" on Server::testapp();
    two_hundred_mutations_are_executed_once_through_kill_9: "restart.mjs" on Server::testapp();
    mutations_are_executed_once_through_lost_connections_and_a_shutdown: "cuts.mjs" on Server::testapp();
    a_slow_reader_gets_the_latest_result_and_delays_nobody: "slow_reader.mjs" on Server::testapp();
    a_thousand_clients_see_a_change: "crowd.mjs" on Server::testapp();
    an_idle_socket_is_kept_alive: "idle.mjs" on Server::testapp();
    users_sign_in_with_tokens: "auth.mjs" on Server::testapp_with(AUTH);
    the_command_line_of_convex_works: "cli.mjs" on Server::testapp();
    the_react_hooks_work_in_a_browser: "react.mjs" on Server::testapp();
    the_front_end_of_convex_auth_works_in_a_browser: "auth_react.mjs" on Server::authapp();
    the_sync_protocol_keeps_its_promises: "wire.mjs" on Server::testapp();
}

#[test]
fn every_command_of_the_cli_exits_promptly() {
    run(Packages::of_node("js"), "cli_verbs.mjs", Server::testapp);
}

const AUTH: &[&str] = &[
    "--auth-config-json",
    include_str!("../clients/js/auth_config.json"),
];
const IN_A_BROWSER: [&str; 2] = ["react.mjs", "auth_react.mjs"];
const OF_THE_COMMAND_LINE: [&str; 2] = ["cli.mjs", "cli_verbs.mjs"];

fn run(packages: Option<Packages>, script: &str, server: impl FnOnce() -> Server) {
    if IN_A_BROWSER.contains(&script) && !available("chromium", script) {
        return;
    }
    let Some(packages) = packages else { return };
    if OF_THE_COMMAND_LINE.contains(&script) {
        let Some(node) = Packages::node_22() else {
            return;
        };
        packages.run(script, &[&node], &mut server());
    } else {
        packages.run(script, &[], &mut server());
    }
}
