use lentil_tests::{Packages, Server};

#[test]
fn the_rust_client_calls_and_subscribes() {
    if let Some(rust) = Packages::of_rust("rust") {
        rust.run("everything", &[], &mut Server::testapp());
    }
}
