use lentil_tests::{Packages, Server};

fn run(script: &str) {
    if let Some(python) = Packages::of_python("python") {
        python.run(script, &[], &mut Server::testapp());
    }
}

#[test]
fn the_python_http_client_calls_functions() {
    run("http_client.py");
}

#[test]
fn the_python_websocket_client_calls_and_subscribes() {
    run("websocket_client.py");
}
