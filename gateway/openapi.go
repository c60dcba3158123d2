package gateway

import _ "embed" // for the document below

// openAPI describes the data API. A test holds it and the router's table
// together.
//
//go:embed openapi.json
var openAPI []byte
