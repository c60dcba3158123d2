package ort

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestSlotsMatchTheHeader compares the positions in api.h with the order of
// the members in the header that the binding is built with.
func TestSlotsMatchTheHeader(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Fatal(err)
	}
	header := read(t, filepath.Join(strings.TrimSpace(string(out)), "onnxruntime_c_api.h"))
	members := apiMembers(t, header)
	ours := read(t, "api.h")

	version := regexp.MustCompile(`#define ORT_API_VERSION (\d+)`).FindStringSubmatch(header)
	if version == nil || !strings.Contains(ours, "SEGUE_ORT_API_VERSION "+version[1]+"\n") {
		t.Errorf("the binding's API version is %v, api.h asks for another", version)
	}
	slots := regexp.MustCompile(`SLOT_(\w+) = (\d+),`).FindAllStringSubmatch(ours, -1)
	if len(slots) < 25 {
		t.Fatalf("found %d slots in api.h", len(slots))
	}
	for _, slot := range slots {
		at, err := strconv.Atoi(slot[2])
		if err != nil || at >= len(members) || members[at] != slot[1] {
			t.Errorf("%s is not at %s", slot[1], slot[2])
		}
	}
}

// apiMembers lists the members of struct OrtApi in order.
func apiMembers(t *testing.T, header string) []string {
	_, body, ok := strings.Cut(header, "\nstruct OrtApi {")
	if !ok {
		t.Fatal("no struct OrtApi in the header")
	}
	body, _, _ = strings.Cut(body, "\n};")
	for _, noise := range []string{`(?s)/\*.*?\*/`, `//[^\n]*`, `(?m)^\s*#.*$`} {
		body = regexp.MustCompile(noise).ReplaceAllString(body, "")
	}
	forms := []struct{ expression, prefix string }{
		{`^ORT_API2_STATUS\(\s*(\w+)`, ""},
		{`^ORT_CLASS_RELEASE\(\s*(\w+)`, "Release"},
		{`^ORT_API_T\(\s*[^,]+,\s*(\w+)`, ""},
		{`\(\s*ORT_API_CALL\s*\*\s*(\w+)\s*\)`, ""},
	}
	var names []string
statements:
	for statement := range strings.SplitSeq(body, ";") {
		statement = strings.TrimSpace(statement)
		if statement == "" {
			continue
		}
		for _, form := range forms {
			if m := regexp.MustCompile(form.expression).FindStringSubmatch(statement); m != nil {
				names = append(names, form.prefix+m[1])
				continue statements
			}
		}
		t.Fatalf("member not understood: %.80s", statement)
	}
	return names
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
