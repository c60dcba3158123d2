package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/segue-serving/segue"

// layers is the import table: what each package of ours may import of ours. A
// name ending in /... stands for the package and all below it.
var layers = map[string][]string{
	"runtime":                   {},
	"runtime/ort":               {"runtime"},
	"runtime/batch":             {"runtime"},
	"runtime/runtimetest":       {"runtime"},
	"configs":                   {},
	"configs/consul":            {"configs"},
	"configs/consul/consultest": {"deploy/parts"},
	"configs/file":              {"configs"},
	"configs/configstest":       {"configs"},
	"loader/artifact":           {"runtime", "loader/artifact/..."},
	"loader/artifact/signing":   {},
	"loader/store":              {"loader/artifact"},
	"loader/cache":              {"loader/artifact/...", "loader/store"},
	"loader/store/mlflow":       {"loader/store", "deploy/parts"},
	"loader/store/storetest":    {"loader/store", "loader/artifact", "deploy/parts"},
	"loader/store/dvc":          {"loader/store"},
	"loader/store/remotes":      {"loader/store/..."},
	"loader/probe":              {"runtime", "loader/artifact"},
	"loader":                    {"runtime", "loader/..."},
	"gateway/rollout":           {"configs"},
	"gateway/monitor":           {"runtime", "configs", "drift"},
	"gateway/oip":               {"runtime"},
	"gateway/oip/oippb":         {},
	"drift":                     {"runtime"},
	"drift/dataset":             {"runtime", "gateway/oip"},
	"gateway":                   {"runtime", "runtime/batch", "configs", "loader/...", "gateway/...", "drift"},
	"cmd/segue":                 {"..."},
	"cmd/seguectl":              {"configs/...", "gateway/rollout", "gateway/oip", "loader/artifact/...", "loader/cache", "loader/store/...", "drift/...", "runtime"},
	"deploy/parts":              {},
	"bench":                     {"runtime", "runtime/ort", "gateway/oip", "gateway/oip/oippb", "drift"},
}

// owners says which packages alone may import a module of others.
var owners = map[string][]string{
	"github.com/yalue/onnxruntime_go":     {"runtime/ort"},
	"github.com/hashicorp/consul/api":     {"configs/consul"},
	"github.com/DataDog/sketches-go":      {"gateway/rollout"},
	"github.com/sony/gobreaker/v2":        {"gateway"},
	"golang.org/x/time/rate":              {"gateway"},
	"gocloud.dev":                         {"loader/store"},
	"github.com/aws/aws-sdk-go-v2":        {"loader/store", "loader/store/storetest"},
	"github.com/Azure/azure-sdk-for-go":   {"loader/store", "loader/store/storetest"},
	"cloud.google.com/go":                 {"loader/store"},
	"oras.land/oras-go/v2":                {"loader/store"},
	"github.com/valyala/fasthttp":         {"gateway", "bench"},
	"github.com/Shopify/toxiproxy/v2":     {"loader/store/storetest"},
	"github.com/rs/zerolog":               {"loader/store/storetest"},
	"github.com/go-git/go-git/v5":         {"loader/store/dvc"},
	"google.golang.org/grpc":              {"gateway", "gateway/oip/oippb", "bench"},
	"github.com/prometheus/client_golang": {"cmd/segue", "gateway", "gateway/monitor", "loader", "loader/store", "loader/store/storetest", "loader/cache"},
	"github.com/sigstore/protobuf-specs":  {"loader/artifact/signing"},
	"github.com/elastic/go-seccomp-bpf":   {"loader/probe"},
	"github.com/landlock-lsm/go-landlock": {"loader/probe"},
	"gonum.org/v1/gonum":                  {"drift"},
	"github.com/google/renameio/v2":       {"loader/probe"},
}

type listed struct {
	ImportPath                         string
	Dir                                string
	GoFiles, CgoFiles                  []string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,CgoFiles,Imports", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestLayersImportOnlyWhatTheTableAllows(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module+"/")
		allowed, known := layers[layerOf(name)]
		if !known {
			t.Errorf("package %s is not in the import table", name)
			continue
		}
		for _, imported := range p.Imports {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if ok && layerOf(ours) != layerOf(name) && !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, ours) }) {
				t.Errorf("%s imports %s, which the table does not allow", name, ours)
			}
			for owned, by := range owners {
				if (imported == owned || strings.HasPrefix(imported, owned+"/")) && !slices.Contains(by, layerOf(name)) {
					t.Errorf("%s imports %s, which is for %v", name, imported, by)
				}
			}
			if imported == "runtime" && !importsAs(t, p, "goruntime") {
				t.Errorf("%s imports the standard library's runtime under its own name; it is goruntime here", name)
			}
		}
		if len(p.CgoFiles) > 0 && name != "runtime/ort" {
			t.Errorf("%s uses cgo: %v", name, p.CgoFiles)
		}
		if slices.Contains([]string{"util", "common", "helpers", "interfaces"}, filepath.Base(name)) {
			t.Errorf("package %s says nothing by its name", name)
		}
	}
}

// layerOf is the row of the table that a package belongs to: its own, or that
// of the nearest package above it.
func layerOf(name string) string {
	for n := name; n != "."; n = filepath.Dir(n) {
		if _, ok := layers[n]; ok {
			return n
		}
	}
	return name
}

func covers(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if below, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == below || strings.HasPrefix(name, below+"/")
	}
	return name == pattern
}

func importsAs(t *testing.T, p listed, as string) bool {
	t.Helper()
	for _, file := range append(slices.Clone(p.GoFiles), p.CgoFiles...) {
		for alias, path := range importsOf(t, filepath.Join(p.Dir, file)) {
			if path == "runtime" && alias != as {
				return false
			}
		}
	}
	return true
}
