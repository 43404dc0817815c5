// Values of all eight types that must be returned unchanged.
const bytes = (...all) => new Uint8Array(all).buffer;

export const values = [
  null,
  true,
  false,
  ...[0n, 1n, -1n, 5n, 256n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)],
  ...[0, -0, 1, -1.5, 0.1, 1e21, 1e308, 5e-324, 2 ** 53, NaN, Infinity, -Infinity],
  ...["", "text", "é\uFFFD😀", "\u0000\n\"\\", "x".repeat(100_000)],
  ...[bytes(), bytes(0, 1, 255), new Uint8Array(1000).fill(7).buffer],
  [],
  [[], [null, 1n, -0, "a", bytes(1)]],
  {},
  { "": 1, "a b": 2n, nested: { NaN, bytes: bytes(9) }, list: [{ a: null }] },
  { B: 1, a: 2, _c: 3 },
];
