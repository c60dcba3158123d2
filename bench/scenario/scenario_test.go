package scenario

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the complaints of testdata anew")

func TestBuiltInScenariosAreTaken(t *testing.T) {
	files, err := filepath.Glob("../scenarios/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if want := strings.TrimSuffix(filepath.Base(file), ".yaml"); s.Name != want {
			t.Errorf("%s is named %q: its results would not be found", file, s.Name)
		}
		if s.Rounds < 4 {
			t.Errorf("%s: %d rounds are too few for a spread", file, s.Rounds)
		}
	}
}

func TestValuesAreRead(t *testing.T) {
	text, err := os.ReadFile("../scenarios/swaps.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	c := s.Changes
	if time.Duration(s.Round) != 10*time.Second || c.Model != "mozart" || c.Load != .6 || len(c.Phases) != 3 || c.Phases[1].Within != Duration(time.Second) || c.Phases[1].AimRatio != 1.3 ||
		c.Phases[2] != (Phase{Name: "weights", Change: ChangeWeights, Every: Duration(100 * time.Millisecond), AimP99: Duration(10 * time.Millisecond)}) {
		t.Errorf("read %+v, %+v", s, c)
	}
}

// TestBadScenariosAreRefused compares the exact complaint of every bad file.
func TestBadScenariosAreRefused(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yaml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		complaint := strings.TrimSuffix(file, ".bad.yaml") + ".txt"
		s, err := Parse(text)
		if err == nil {
			t.Errorf("%s is taken: %+v", file, s)
			continue
		}
		got := err.Error() + "\n"
		if *update {
			if err := os.WriteFile(complaint, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(complaint)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: got\n%swant\n%s", file, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"../scenarios/*.yaml", "testdata/*.bad.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		if s.Rounds < 1 || s.Round <= 0 || s.Changes == nil && s.Throughput == nil && s.Offered == nil {
			t.Errorf("taken: %+v", s)
		}
	})
}
