package consul

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/segue-serving/segue/configs"
)

// Trees of the prefix that gateways watch. Each is a prefix of keys; settings
// is a single key.
const (
	modelsTree    = "models/"
	overridesTree = "overrides/"
	resolvedTree  = "resolved/"
	settingsKey   = "settings"
	treeCount     = 4
)

func trees() [treeCount]string {
	return [treeCount]string{modelsTree, overridesTree, resolvedTree, settingsKey}
}

// answer is the whole set as Consul gave it once.
type answer struct {
	// index is at most that of the state which was read: the largest of what
	// the watches knew before, and of the entries.
	index     uint64
	models    map[string]configs.Entry
	overrides map[string]configs.Entry
	resolved  map[string]configs.Entry
	settings  *configs.Entry
	// sentinel is the index at which settings was created.
	sentinel uint64
	// complete is false where the answer was filtered, or read in parts
	// between which the set changed.
	complete bool
	// stale is set where no leader stood behind the answer.
	stale bool
	// wentBack is set where a watch saw its index fall.
	wentBack bool
	// ignored are keys that mean nothing here.
	ignored []string
}

// readAll reads all trees at one index: in one read-only transaction, or, where
// something before Consul refuses that path, in parts that are checked not to
// have changed meanwhile.
func (f *Fleet) readAll(ctx context.Context, mode consistency) (answer, error) {
	ops := make(api.TxnOps, 0, treeCount)
	for _, tree := range trees() {
		// A tree without keys adds nothing to the results; the verb for a
		// single key would fail the whole transaction where it is missing.
		ops = append(ops, &api.TxnOp{KV: &api.KVTxnOp{Verb: api.KVGetTree, Key: f.prefix + tree}})
	}
	result, err := f.client.txn(ctx, ops, mode)
	if err != nil {
		if mode == consistent && refusesPath(err) {
			if a, listErr := f.readByLists(ctx); listErr == nil {
				return a, nil
			}
		}
		return answer{}, err
	}
	if result.refused {
		return answer{}, fmt.Errorf("read transaction refused: %s", errorText(result.Errors))
	}
	pairs := make(api.KVPairs, 0, len(result.Results))
	for _, r := range result.Results {
		if r.KV != nil {
			pairs = append(pairs, r.KV)
		}
	}
	if mode == consistent && !result.KnownLeader {
		return answer{}, errNoLeader
	}
	a := f.sortOut(pairs)
	a.complete = !result.ResultsFilteredByACLs
	a.stale = mode == stale
	return a, nil
}

// refusesPath reports statuses with which agents (http_config.block_endpoints)
// and proxies refuse a path or the size of its answer. A token that is refused
// looks the same; the lists then fail too.
func refusesPath(err error) bool {
	var status api.StatusError
	if !errors.As(err, &status) {
		return false
	}
	switch status.Code {
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge:
		return true
	}
	return false
}

// listTries bounds how often readByLists starts again.
const listTries = 4

// readByLists reads tree after tree and then looks at all indexes again: if
// none moved, all of it was there at one time. A set that changes faster than
// that is returned as incomplete.
func (f *Fleet) readByLists(ctx context.Context) (answer, error) {
	var a answer
	for range listTries {
		var pairs api.KVPairs
		var before, after [treeCount]uint64
		complete := true
		for i, tree := range trees() {
			part, meta, err := f.client.KV().List(f.prefix+tree, query(ctx, consistent))
			if err != nil {
				return answer{}, err
			}
			if err := vouched(meta); err != nil {
				return answer{}, err
			}
			pairs, before[i] = append(pairs, part...), listIndex(len(part), meta)
			complete = complete && !meta.ResultsFilteredByACLs
		}
		for i, tree := range trees() {
			keys, meta, err := f.client.KV().Keys(f.prefix+tree, "", query(ctx, consistent))
			if err != nil {
				return answer{}, err
			}
			if err := vouched(meta); err != nil {
				return answer{}, err
			}
			after[i] = listIndex(len(keys), meta)
		}
		a = f.sortOut(pairs)
		if a.complete = complete && before == after; before == after {
			break
		}
	}
	return a, nil
}

// vouched refuses an answer behind which no leader of Consul stands. Anything
// that answers 404, a wrong address say, would else look like an empty prefix.
func vouched(meta *api.QueryMeta) error {
	if !meta.KnownLeader {
		return errNoLeader
	}
	return nil
}

// listIndex is the index of a list, 0 for one without keys: that has the index
// of the whole store, which moves with every write elsewhere.
func listIndex(keys int, meta *api.QueryMeta) uint64 {
	if keys == 0 {
		return 0
	}
	return meta.LastIndex
}

// sortOut gives each pair its place.
func (f *Fleet) sortOut(pairs api.KVPairs) answer {
	a := answer{
		models:    map[string]configs.Entry{},
		overrides: map[string]configs.Entry{},
		resolved:  map[string]configs.Entry{},
	}
	for _, pair := range pairs {
		key := strings.TrimPrefix(pair.Key, f.prefix)
		tree, name, _ := strings.Cut(key, "/")
		entry := configs.Entry{
			Name:          name,
			Value:         pair.Value,
			Index:         pair.ModifyIndex,
			Where:         pair.Key,
			WrittenByTool: pair.Flags == ToolFlag,
		}
		into := map[string]map[string]configs.Entry{
			"models": a.models, "overrides": a.overrides, "resolved": a.resolved,
		}[tree]
		switch {
		case key == settingsKey:
			entry.Name = settingsKey
			a.settings, a.sentinel = &entry, pair.CreateIndex
		case strings.HasSuffix(key, "/"):
			// Consul's UI makes these to show folders.
			continue
		case into == nil || strings.Contains(name, "/"):
			if into != nil {
				a.ignored = append(a.ignored, pair.Key)
			}
			continue
		default:
			into[name] = entry
		}
		a.index = max(a.index, pair.ModifyIndex)
	}
	return a
}

// query are the options of a read that does not wait.
func query(ctx context.Context, mode consistency) *api.QueryOptions {
	options := &api.QueryOptions{RequireConsistent: mode == consistent, AllowStale: mode == stale}
	return options.WithContext(ctx)
}

func errorText(errors api.TxnErrors) string {
	texts := make([]string, 0, len(errors))
	for _, e := range errors {
		texts = append(texts, e.What)
	}
	return strings.Join(texts, "; ")
}
