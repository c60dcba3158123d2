// Package remotes puts together the stores of other machines, for the gateway
// and for the operator's tool alike.
//
//	hosts, err := egress.Parse("10.0.0.0/8")
//	remotes := remotes.All(hosts, os.Getenv)
//	origin, err := remotes["s3"].Open(ctx, store.Ref{URI: "s3://models/mozart/1"})
package remotes

import (
	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/bucket"
	"github.com/segue-serving/segue/loader/store/egress"
	"github.com/segue-serving/segue/loader/store/oci"
	"github.com/segue-serving/segue/loader/store/web"
)

// All returns the stores by the scheme of their references. Hosts are those that
// a reference may name besides public ones; the environment holds credentials.
func All(hosts egress.Hosts, getenv func(string) string) map[string]store.Remote {
	plain := web.New(hosts, web.Environment(getenv))
	return map[string]store.Remote{
		"s3": bucket.S3(hosts), "gs": bucket.GCS(), "azblob": bucket.Azure(),
		"oci": oci.New(hosts), "http": plain, "https": plain,
	}
}
