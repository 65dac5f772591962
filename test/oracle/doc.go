// Package oracle holds the guard to what other people's code says, in one process and by the
// thousand:
//
//   - what Tekton's own code makes of result files is what the publisher and the guard make the API
//     server store (results_test.go), and what Tekton's controller writes next takes nothing of it
//     away;
//   - what the policy denies, evaluated by the API server's own code, the guard does not allow
//     (decisions_test.go).
//
// Cases come from bytes: pseudo-random ones of a fixed seed in the tests, the fuzzer's in the fuzz
// targets. It is a module of its own, because Tekton's and the API server's packages bring cloud
// SDKs, which the product does without.
package oracle
