package configs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

const schemaID = "https://github.com/segue-serving/segue/configs/schema/"

// reflectSchema is the schema of a type: structure, required fields and
// descriptions from the Go source, the rest from constrain.
func reflectSchema(t *testing.T, name string, of any) []byte {
	t.Helper()
	r := &jsonschema.Reflector{Anonymous: true, ExpandedStruct: true, Mapper: scalarSchema}
	if err := r.AddGoComments("github.com/segue-serving/segue/configs", ".", jsonschema.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	for key, text := range r.CommentMap {
		r.CommentMap[key] = strings.Join(strings.Fields(text), " ")
	}
	s := r.Reflect(of)
	s.ID = jsonschema.ID(schemaID + name)
	constrain(reflect.TypeOf(of).Elem().Name(), s)
	for of, definition := range s.Definitions {
		constrain(of, definition)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func scalarSchema(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[Duration]():
		// A unit after every number; 0 needs one too.
		return &jsonschema.Schema{Type: "string", Pattern: `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`, Examples: []any{"250ms", "30s", "4h"}}
	case reflect.TypeFor[FollowPolicy]():
		return policySchema()
	case reflect.TypeFor[Size]():
		return &jsonschema.Schema{Type: "string", Pattern: `^[0-9]+(KiB|MiB|GiB)$`, Examples: []any{"512KiB", "64MiB"}}
	}
	return nil
}

// policySchema is that of a type which is written in four ways.
func policySchema() *jsonschema.Schema {
	one, most := uint64(1), uint64(maxFollowed)
	names := func() *jsonschema.Schema {
		return &jsonschema.Schema{Type: "array", MinItems: &one, MaxItems: &most, UniqueItems: true, Items: &jsonschema.Schema{Type: "string", Pattern: namePattern}}
	}
	only := func(field string, s *jsonschema.Schema) *jsonschema.Schema {
		properties := jsonschema.NewProperties()
		properties.Set(field, s)
		return &jsonschema.Schema{Type: "object", Properties: properties, Required: []string{field}, AdditionalProperties: jsonschema.FalseSchema}
	}
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
		{Const: LatestVersion}, names(), only("aliases", names()),
		only("latest", &jsonschema.Schema{Type: "integer", Minimum: "1", Maximum: json.Number(fmt.Sprint(maxFollowed))}),
	}}
}

// constrain adds to a type's schema what its fields' types do not say.
func constrain(of string, s *jsonschema.Schema) {
	p := func(name string) *jsonschema.Schema {
		property, ok := s.Properties.Get(name)
		if !ok {
			panic("no field " + name + " in " + of)
		}
		return property
	}
	named := &jsonschema.Schema{Pattern: namePattern}
	atLeast := func(least json.Number, names ...string) {
		for _, name := range names {
			p(name).Minimum = least
		}
	}
	over := func(bound json.Number, names ...string) {
		for _, name := range names {
			p(name).ExclusiveMinimum = bound
		}
	}
	ratios := func() {
		atLeast("1", "max_ratio", "promote_ratio")
		over("0", "max_rate")
		p("max_rate").ExclusiveMaximum = "1"
	}
	one := uint64(1)
	switch of {
	case "Document":
		p("model").Pattern = namePattern
		p("versions").PropertyNames, p("versions").MinProperties = named, &one
		s.OneOf = []*jsonschema.Schema{{Required: []string{"versions"}}, {Required: []string{"follow"}}}
		p("require_signature").MinItems, p("require_signature").Items.Pattern = &one, namePattern
		p("nonfinite").Enum = []any{NonFiniteError, NonFiniteNull, NonFiniteLiteral}
	case "Follow":
		p("from").Pattern = "^mlflow:models/[^/@:]+$"
		atLeast("0", "attempt")
	case "Version":
		p("uri").Pattern = uriPattern
		p("digest").Pattern = digestPattern
		atLeast("0", "attempt")
	case "Traffic":
		p("weights").PropertyNames, p("names").PropertyNames = named, named
		p("weights").AdditionalProperties.Minimum = "0"
		p("names").AdditionalProperties.Pattern = namePattern
		p("shadow").PropertyNames, p("shadow").MinProperties = named, &one
		p("shadow").AdditionalProperties.Minimum, p("shadow").AdditionalProperties.Maximum = "0", "100"
	case "Sticky", "Testers":
		p("header").Pattern = headerPattern
	case "Feedback":
		least, most := uint64(1), uint64(maxLabel)
		p("labels").MinItems, p("labels").UniqueItems = &one, true
		p("labels").Items.MinLength, p("labels").Items.MaxLength = &least, &most
	case "Rollout":
		steps := uint64(maxSteps)
		p("stable").Pattern, p("canary").Pattern = namePattern, namePattern
		p("steps").MinItems, p("steps").MaxItems = &one, &steps
		p("on_inconclusive").Enum = []any{InconclusiveHold, InconclusivePromote, InconclusiveRollback}
		atLeast("0", "attempt")
		over("0", "alpha", "promote_alpha")
		p("alpha").Maximum, p("promote_alpha").Maximum = "0.5", "0.5"
	case "Step":
		over("0", "weight")
		p("weight").Maximum = json.Number(fmt.Sprint(maxStepWeight))
		atLeast("0", "min_requests")
	case "Guards":
	case "RatioGuard":
		ratios()
	case "ClassGuard":
		atLeast("1", "max_ratio")
	case "ShadowGuard":
		over("0", "max_disagreement", "tolerance")
		p("max_disagreement").ExclusiveMaximum = "1"
		atLeast("1", "min_samples")
	case "FeedbackGuard":
		p("kind").Enum = []any{FeedbackLabel, FeedbackReward}
		ratios()
	case "Runtime":
		p("device").Pattern = devicePattern
		atLeast("0", "threads", "instances", "max_batch_size", "max_dimension")
		p("threads").Maximum, p("instances").Maximum = json.Number(fmt.Sprint(maxThreads)), json.Number(fmt.Sprint(maxInstances))
		p("max_batch_size").Maximum = json.Number(fmt.Sprint(maxBatchSize))
	case "Drift":
		over("0", "sample", "false_alarms_per_month")
		atLeast("0", "effect")
		p("sample").Maximum, p("false_alarms_per_month").Maximum = json.Number(fmt.Sprint(maxDriftSample)), json.Number(fmt.Sprint(maxFalseAlarms))
		p("effect").Maximum = json.Number(fmt.Sprint(maxDriftEffect))
		p("compare").MinItems, p("compare").UniqueItems = &one, true
		p("compare").Items.Enum = []any{CompareTraining, CompareLastWeek, CompareControl}
		features, name := uint64(MaxDriftFeatures), uint64(maxFeatureName)
		for _, list := range []string{"features", "exclude"} {
			p(list).MinItems, p(list).MaxItems, p(list).UniqueItems = &one, &features, true
			p(list).Items.MinLength, p(list).Items.MaxLength = &one, &name
		}
		p("unit").Pattern = headerPattern
		s.Not = &jsonschema.Schema{Required: []string{"features", "exclude"}}
	case "DriftWindow":
		atLeast(json.Number(fmt.Sprint(minDriftSamples)), "samples")
		p("samples").Maximum = json.Number(fmt.Sprint(maxDriftSamples))
	case "DriftAlarms":
		p("webhook").Pattern = "^https?://"
		p("token_file").Pattern = "^/"
	case "Limits":
		atLeast("0", "rate", "burst", "queue")
	case "Settings":
		p("schema").Const = SchemaVersion
		p("ready_requires").Items.Pattern = namePattern
		p("public").Items.Enum = []any{PermissionHealth, PermissionMetadata}
	case "Signer":
		p("name").Pattern = namePattern
		s.OneOf = []*jsonschema.Schema{{Required: []string{"pem"}}, {Required: []string{"file"}}}
	case "SignatureRule":
		p("signers").MinItems, p("signers").Items.Pattern = &one, namePattern
	case "Key":
		p("name").Pattern, p("models").Items.Pattern, p("sha256").Pattern = namePattern, namePattern, hexPattern
		p("permissions").MinItems = &one
		atLeast("0", "rate", "burst")
		p("permissions").Items.Enum = []any{PermissionPredict, PermissionMetadata, PermissionHealth, PermissionFeedback, PermissionAdmin}
	case "GatewayLimits":
		atLeast("0", "max_in_flight")
	default:
		panic("no constraints for " + of)
	}
}

func TestSchemasAreFresh(t *testing.T) {
	golden(t, "schema/document.schema.json", reflectSchema(t, "document.schema.json", new(Document)))
	golden(t, "schema/settings.schema.json", reflectSchema(t, "settings.schema.json", new(Settings)))
}

func compile(t testing.TB, schema []byte) *validator.Schema {
	t.Helper()
	parsed, err := validator.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := validator.NewCompiler()
	if err := c.AddResource("schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// schemaOf is the published schema of a document, by its file's name.
func schemaOf(t *testing.T, path string) *validator.Schema {
	t.Helper()
	name := "document"
	if strings.Contains(filepath.Base(path), "settings") {
		name = "settings"
	}
	text, err := os.ReadFile("schema/" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return compile(t, text)
}

// generic is a YAML or JSON text as an editor's validator sees it; false where
// it is not even that.
func generic(t *testing.T, text []byte) (any, bool) {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		return nil, false
	}
	encoded, err := json.Marshal(stringKeys(v))
	if err != nil {
		return nil, false
	}
	v, err = validator.UnmarshalJSON(bytes.NewReader(encoded))
	return v, err == nil
}

func stringKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key := range v {
			v[key] = stringKeys(v[key])
		}
	case map[any]any:
		m := map[string]any{}
		for key := range v {
			m[fmt.Sprint(key)] = stringKeys(v[key])
		}
		return m
	case []any:
		for i := range v {
			v[i] = stringKeys(v[i])
		}
	}
	return v
}

func TestEveryAcceptedDocumentIsValidByItsSchema(t *testing.T) {
	for name, text := range map[string]string{"full.yaml": fullYAML, "full.json": fullJSON, "canonical": string(Canonical(mustParse(t, fullYAML)))} {
		v, ok := generic(t, []byte(text))
		if !ok {
			t.Fatal(name)
		}
		if err := schemaOf(t, name).Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What only the parser refuses is listed, so that a schema which suddenly
// takes more is noticed.
func TestSchemaRefusesWhatItCan(t *testing.T) {
	paths, err := filepath.Glob("testdata/bad/*[nl]")
	if err != nil {
		t.Fatal(err)
	}
	var taken strings.Builder
	refused := 0
	for _, path := range paths {
		name := filepath.Base(path)
		if strings.HasPrefix(name, "override-") || filepath.Ext(name) == ".golden" {
			continue // overrides have no published schema
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		v, ok := generic(t, text)
		if ok && schemaOf(t, path).Validate(v) == nil {
			taken.WriteString(name + "\n")
			continue
		}
		refused++
	}
	if refused < 40 {
		t.Errorf("refuses only %d", refused)
	}
	golden(t, "testdata/bad/taken-by-schema.golden", []byte(taken.String()))
}
