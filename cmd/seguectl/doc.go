// Command seguectl is the operator's tool of Segue: it checks documents with
// the gateway's own parsers, writes them by check-and-set, moves weights, holds
// and freezes, shows what every gateway has in force, and packs, verifies and
// signs artifacts and takes them to stores and back.
//
// It promises that a refused document is never written, that nothing is
// overwritten that was not read before (exit 4 instead), that every change it
// makes has an audit record, and that it never waits for an answer where nobody
// is at a terminal. It never talks to a gateway, but for pack --via, which asks for
// golden answers: all it knows and does goes through the configuration's store.
//
//	seguectl --config consul:segue/prod weights mozart 1=90 2=10 --reason "canary"
//	seguectl --config consul:segue/prod status mozart --wait
//
// Exit codes: 0 done; 1 what was asked for failed or was refused; 2 wrong
// usage; 3 the other side could not be reached; 4 somebody else wrote first
// (safe to retry); 5 plan --exit-code found changes; 130 interrupted.
package main
