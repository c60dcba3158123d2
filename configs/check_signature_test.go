package configs

import "testing"

func TestARuleCoversAVersionHoweverItsPathIsWritten(t *testing.T) {
	for _, c := range []struct {
		prefix, uri, base string
		want              bool
	}{
		{"", "file:models/1", "/etc/segue", true},
		{"file:", "file:models/1", "/etc/segue", true},
		{"file:/srv/models/", "file:/srv/models/1", "", true},
		{"file:/srv/models/", "file:///srv/models/1", "", true},
		{"file:/srv/models/", "file:/srv/x/../models/1", "", true},
		{"file:/srv/models/", "file:models/1", "/srv", true},
		{"file:/srv/models/", "file:models/1", "/etc/segue", false},
		{"file:/srv/models/", "file:/srv/others/1", "", false},
		{"s3://artifacts/", "s3://artifacts/mozart/1", "", true},
		{"s3://artifacts/", "s3://scratch/mozart/1", "", false},
	} {
		if got := (SignatureRule{Prefix: c.prefix}).Covers(Version{URI: c.uri}, c.base); got != c.want {
			t.Errorf("%s on %s in %s: got %t", c.prefix, c.uri, c.base, got)
		}
	}
}
