/// Each file in `compile_fail/` is a misuse. The compiler's messages are in the `.stderr` file
/// beside it.
#[test]
fn misuse_is_a_compile_error_that_says_what_to_write() {
    trybuild::TestCases::new().compile_fail("tests/it/compile_fail/*.rs");
}
