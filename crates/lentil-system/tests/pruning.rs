//! Old records are deleted in the background.

use std::time::Duration;

use lentil_runtime::{FunctionCall, FunctionPath, Functions, Identity, MutationCtx, Object};
use lentil_runtime::{Result, SessionRequest, Uuid};
use lentil_schema::Schema;
use lentil_system::sessions;
use lentil_testing::TestBackend;
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn no_op(_: &mut MutationCtx, (): ()) -> Result<()> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn clock_that_jumps_ahead_deletes_no_session_records() {
    let functions = Functions::in_module("test").mutation("noOp", no_op);
    let t = TestBackend::new(Schema::new()).functions(functions);
    let runtime = t.runtime().await;
    let path = FunctionPath::parse("test:noOp").unwrap();
    let session_id = Uuid::from_random_bits(1);
    let mut call = FunctionCall::new(path, Object::new(), Identity::Anonymous);
    call.request = Some(SessionRequest {
        session_id,
        request_id: 0,
    });
    assert!(runtime.call(call, None).await.result.is_ok());
    let running = runtime.clone();
    let task = tokio::spawn(async move { running.run_modules(CancellationToken::new()).await });
    let has_record = async || {
        let bytes = sessions::bytes(runtime, session_id, 1 << 10).await;
        bytes.unwrap() > 0
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    t.advance(30 * DAY);
    tokio::time::sleep(DAY).await;
    assert!(has_record().await, "only a day has passed");
    tokio::time::sleep(14 * DAY).await;
    assert!(!has_record().await);
    task.abort();
}
