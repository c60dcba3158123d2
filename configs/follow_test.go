package configs

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

func following(t *testing.T, text string) *Document {
	t.Helper()
	d, _, err := Parse(Entry{Name: "mozart", Value: []byte("model: mozart\n" + text)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const championAndChallenger = `follow: {from: "mlflow:models/mozart", policy: {aliases: [champion, challenger]}}` + "\n"

// resolution is what a registry has whose champion and challenger name versions.
func resolution(champion, challenger string) *Resolution {
	s := &Resolution{
		From: "mlflow:models/mozart", Policy: FollowPolicy{Aliases: []string{"champion", "challenger"}},
		Versions: map[string]ResolvedVersion{}, Aliases: map[string]string{"champion": champion, "challenger": challenger},
	}
	for _, version := range []string{champion, challenger} {
		s.Versions[version] = ResolvedVersion{URI: "mlflow:models/mozart/" + version, Digest: "sha256:" + strings.Repeat(version, 64)}
	}
	return s
}

func TestLabelsStandForTheVersionsOfTheRegistry(t *testing.T) {
	weighted := championAndChallenger + "traffic: {weights: {champion: 90, challenger: 10}, names: {champion: best}}\n"
	for name, c := range map[string]struct {
		document              string
		champion, challenger  string
		weights               map[string]float64
		names                 map[string]string
		stable, canary, shade string
	}{
		"weights":             {document: weighted, champion: "3", challenger: "4", weights: map[string]float64{"3": 90, "4": 10}, names: map[string]string{"3": "best"}},
		"one version":         {document: weighted, champion: "4", challenger: "4", weights: map[string]float64{"4": 100}, names: map[string]string{"4": "best"}},
		"a version":           {document: championAndChallenger + `traffic: {weights: {"3": 1, challenger: 1}}`, champion: "3", challenger: "4", weights: map[string]float64{"3": 1, "4": 1}},
		"the first alias":     {document: championAndChallenger, champion: "3", challenger: "4", weights: map[string]float64{"3": 100}},
		"a rollout":           {document: championAndChallenger + "rollout: {stable: champion, canary: challenger, steps: [{weight: 5}]}\ntraffic: {shadow: {challenger: 20}}", champion: "3", challenger: "4", stable: "3", canary: "4", shade: "4"},
		"nothing to roll out": {document: championAndChallenger + "rollout: {stable: champion, canary: challenger, steps: [{weight: 5}]}\ntraffic: {shadow: {challenger: 20}}", champion: "4", challenger: "4", weights: map[string]float64{"4": 100}},
	} {
		t.Run(name, func(t *testing.T) {
			raw := following(t, c.document)
			before := Canonical(raw)
			d, err := raw.Resolve(resolution(c.champion, c.challenger))
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(d.Traffic.Weights, c.weights) || !maps.Equal(d.Traffic.Names, c.names) || d.Follow != nil || len(d.Versions) == 0 {
				t.Errorf("got %+v", d)
			}
			if d.Rollout == nil != (c.stable == "") || d.Rollout != nil && (d.Rollout.Stable != c.stable || d.Rollout.Canary != c.canary) {
				t.Errorf("rollout %+v", d.Rollout)
			}
			if percent := d.Traffic.Shadow[c.shade]; c.shade != "" && percent != 20 || c.shade == "" && len(d.Traffic.Shadow) > 1 {
				t.Errorf("shadow %v", d.Traffic.Shadow)
			}
			if !bytes.Equal(Canonical(raw), before) {
				t.Error("the document itself was changed")
			}
			for version, v := range d.Versions {
				if v.URI != "mlflow:models/mozart/"+version || v.Digest == "" {
					t.Errorf("version %s: %+v", version, v)
				}
			}
		})
	}
}

func TestAMovedAliasIsAnotherBasis(t *testing.T) {
	raw := following(t, championAndChallenger+"rollout: {stable: champion, canary: challenger, steps: [{weight: 5}]}")
	seen := map[string]string{}
	for _, pair := range [][2]string{{"3", "4"}, {"3", "5"}, {"4", "5"}} {
		d, err := raw.Resolve(resolution(pair[0], pair[1]))
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[d.Basis()]; ok {
			t.Errorf("%v has the basis of %s", pair, other)
		}
		seen[d.Basis()] = strings.Join(pair[:], " and ")
	}
}

func TestAResolutionCountsForItsOwnFollowBlockOnly(t *testing.T) {
	raw := following(t, championAndChallenger)
	for what, change := range map[string]func(s *Resolution){
		"another model":  func(s *Resolution) { s.From = "mlflow:models/haydn" },
		"another policy": func(s *Resolution) { s.Policy = FollowPolicy{Latest: 2} },
		"other aliases":  func(s *Resolution) { s.Policy.Aliases = []string{"champion"} },
	} {
		s := resolution("3", "4")
		change(s)
		if _, err := raw.Resolve(s); !errors.Is(err, ErrUnresolved) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := raw.Resolve(nil); !errors.Is(err, ErrUnresolved) {
		t.Errorf("none: %v", err)
	}
	s := resolution("3", "4")
	delete(s.Aliases, "challenger")
	_, err := following(t, championAndChallenger+"traffic: {weights: {challenger: 1}}").Resolve(s)
	var problems *Problems
	if !errors.As(err, &problems) || !strings.Contains(err.Error(), `traffic.weights."challenger": the registry has no version or alias "challenger"`) {
		t.Errorf("an alias that is gone: %v", err)
	}
	s.Versions, s.Aliases = nil, nil
	if _, err := raw.Resolve(s); !errors.As(err, &problems) {
		t.Errorf("an empty registry: %v", err)
	}
	plain := following(t, `versions: {"1": {uri: "file:1"}}`)
	if d, err := plain.Resolve(nil); err != nil || d != plain {
		t.Errorf("a document that follows nothing: %v, %v", d, err)
	}
}

func TestPoliciesReadBackAsTheyWereWritten(t *testing.T) {
	for text, want := range map[string]FollowPolicy{
		`latest`:                 {Latest: 1},
		`"latest"`:               {Latest: 1},
		`{latest: 3}`:            {Latest: 3},
		`["1", "2"]`:             {Versions: []string{"1", "2"}},
		`{aliases: [champion]}`:  {Aliases: []string{"champion"}},
		`{"aliases": ["a","b"]}`: {Aliases: []string{"a", "b"}},
	} {
		d := following(t, `follow: {from: "mlflow:models/mozart", policy: `+text+"}")
		if !d.Follow.Policy.Equal(want) {
			t.Errorf("%s: %+v", text, d.Follow.Policy)
		}
		again, _, err := Parse(Entry{Name: "mozart", Value: Canonical(d)})
		if err != nil || !again.Follow.Policy.Equal(want) {
			t.Errorf("%s: reads back as %+v, %v", text, again, err)
		}
	}
	none := following(t, `follow: {from: "mlflow:models/mozart"}`).Follow
	if p := none.Policy; !p.IsZero() || !p.Or(LatestVersion).Equal(FollowPolicy{Latest: 1}) || !p.Or("7").Equal(FollowPolicy{Versions: []string{"7"}}) {
		t.Errorf("without a policy: %+v", p)
	}
	if none.Every() != DefaultFollowInterval {
		t.Errorf("asked every %v", none.Every())
	}
}

func TestAResolutionSaysWhatChanged(t *testing.T) {
	before, after := resolution("3", "4"), resolution("4", "5")
	after.Aliases["next"] = "5"
	for name, c := range map[string]struct {
		before, after *Resolution
		want          string
	}{
		"moved":   {before, after, "challenger moved from 4 to 5; champion moved from 3 to 4; next names version 5; version 3 is not followed any more; version 5 is new"},
		"first":   {nil, before, "challenger names version 4; champion names version 3; version 3 is new; version 4 is new"},
		"nothing": {before, resolution("3", "4"), ""},
	} {
		if got := c.after.Changes(c.before); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
		if same := c.after.Same(c.before); same != (c.want == "") {
			t.Errorf("%s: same %v", name, same)
		}
	}
}

func FuzzParseResolutionReadsBackWhatItTook(f *testing.F) {
	f.Add(CanonicalResolution(resolution("3", "4")))
	f.Add([]byte(`{"from": "mlflow:models/m", "policy": "latest", "by": "g", "at": "2026-01-31T12:00:00Z", "versions": {"1": {"uri": "mlflow:models/m/1"}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ParseResolution(Entry{Value: text})
		if err != nil {
			return
		}
		again, err := ParseResolution(Entry{Value: CanonicalResolution(s)})
		if err != nil || !again.Same(s) || again.By != s.By || !again.At.Equal(s.At) {
			t.Fatalf("%+v reads back as %+v, %v", s, again, err)
		}
		if s.Changes(again) != "" {
			t.Fatalf("differs from itself: %s", s.Changes(again))
		}
		for alias, version := range s.Aliases {
			if _, ok := s.Versions[version]; !ok {
				t.Fatalf("%s names %q, of %v", alias, version, s.Versions)
			}
		}
	})
}

func TestResolutionsReadBackAndBadOnesAreRefused(t *testing.T) {
	s := resolution("3", "4")
	s.By, s.At = "gateway g1", time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	read, err := ParseResolution(Entry{Value: CanonicalResolution(s)})
	if err != nil || !read.Same(s) || read.By != s.By || !read.At.Equal(s.At) {
		t.Errorf("%+v, %v", read, err)
	}
	for what, text := range map[string]string{
		"no versions":      `{"from": "mlflow:models/mozart", "by": "g", "at": "2026-01-31T12:00:00Z"}`,
		"a file":           `{"from": "mlflow:models/mozart", "by": "g", "at": "2026-01-31T12:00:00Z", "versions": {"1": {"uri": "file:/etc"}}}`,
		"a digest":         `{"from": "mlflow:models/mozart", "by": "g", "at": "2026-01-31T12:00:00Z", "versions": {"1": {"uri": "mlflow:models/mozart/1", "digest": "md5:1"}}}`,
		"a dangling alias": `{"from": "mlflow:models/mozart", "by": "g", "at": "2026-01-31T12:00:00Z", "versions": {"1": {"uri": "mlflow:models/mozart/1"}}, "aliases": {"a": "2"}}`,
		"a field":          `{"from": "mlflow:models/mozart", "by": "g", "at": "2026-01-31T12:00:00Z", "versions": {}, "exec": "sh"}`,
		"a name":           `{"from": "mlflow:models/mozart", "by": "g", "at": "2026-01-31T12:00:00Z", "versions": {"a/b": {"uri": "mlflow:models/mozart/1"}}}`,
	} {
		if _, err := ParseResolution(Entry{Value: []byte(text)}); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}
