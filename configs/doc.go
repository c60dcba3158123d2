// Package configs is what operators write: one document per model, settings of
// the whole gateway, and the overrides that stand beside a document. It parses
// them strictly, fills in defaults, and says what a source of documents and a
// store of keys must do.
//
// It promises that a document is either taken whole or refused with every
// problem at once, each with its path, its line and how to mend it; that JSON
// and YAML of the same content are the same document; and that a parsed
// document never changes. It never reads a file, a clock or the network, except
// for the last good copy (SaveLastGood, LoadLastGood).
//
//	doc, warnings, err := configs.Parse(configs.Entry{Name: "mozart", Value: text})
//	var problems *configs.Problems
//	if errors.As(err, &problems) {
//		for _, p := range problems.List {
//			fmt.Println(p) // line 4, column 13: traffic.weights."3": no such version …
//		}
//	}
//	share := doc.Share("2") // 0.1
package configs
