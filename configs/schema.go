package configs

import _ "embed" // for the schemas

// The schemas are made from the types by TestSchemasAreFresh with -update, so
// that no program carries the generator.
var (
	//go:embed schema/document.schema.json
	documentSchema string
	//go:embed schema/settings.schema.json
	settingsSchema string
)

// DocumentSchema is the JSON Schema (draft 2020-12) of a model's document.
// Every document that Parse takes is valid by it; Parse refuses more, such as
// weights without a version. The caller owns the bytes.
func DocumentSchema() []byte { return []byte(documentSchema) }

// SettingsSchema is DocumentSchema for settings.
func SettingsSchema() []byte { return []byte(settingsSchema) }
