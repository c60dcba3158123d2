package consul

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/hashicorp/consul/api"

	"github.com/segue-serving/segue/configs"
)

// Limits of one transaction. Agents refuse more than 512 KiB of request, in
// which values stand in base64, four bytes for three.
const (
	maxOps      = 64
	maxTxnBytes = 512 << 10
)

// Get implements configs.Store by a consistent read.
func (f *Fleet) Get(ctx context.Context, key string) (configs.Item, bool, error) {
	pair, _, err := f.client.KV().Get(f.prefix+key, query(ctx, consistent))
	if err != nil {
		return configs.Item{}, false, explain("get "+f.prefix+key, err)
	}
	if pair == nil {
		return configs.Item{}, false, nil
	}
	return f.item(pair), true, nil
}

// List implements configs.Store by a consistent read. Keys that end in a slash
// are left out. Where the token may read only some of the keys it returns
// ErrForbidden: a part must not look like all.
func (f *Fleet) List(ctx context.Context, prefix string) ([]configs.Item, error) {
	pairs, meta, err := f.client.KV().List(f.prefix+prefix, query(ctx, consistent))
	if err != nil {
		return nil, explain("list "+f.prefix+prefix, err)
	}
	if meta.ResultsFilteredByACLs {
		return nil, fmt.Errorf("list %s: %w: this token may read only some of the keys", f.prefix+prefix, configs.ErrForbidden)
	}
	items := make([]configs.Item, 0, len(pairs))
	for _, pair := range pairs {
		if !strings.HasSuffix(pair.Key, "/") {
			items = append(items, f.item(pair))
		}
	}
	slices.SortFunc(items, func(a, b configs.Item) int { return strings.Compare(a.Key, b.Key) })
	return items, nil
}

func (f *Fleet) item(pair *api.KVPair) configs.Item {
	return configs.Item{
		Key:   strings.TrimPrefix(pair.Key, f.prefix),
		Value: pair.Value,
		Index: pair.ModifyIndex,
		Tool:  pair.Flags == ToolFlag,
	}
}

// Apply implements configs.Store by one transaction of at most 64 operations
// (a deletion takes two) and 512 KiB, values counting four thirds. After an
// error of the kind ErrUnreachable the writes may have been made all the same;
// to apply them again is safe, for then they conflict.
//
// Consul tells the index of a write, not that of a deletion. Where there are
// deletions only, the index returned is at least that of the deletion, and
// less only where Consul went away right after it.
func (f *Fleet) Apply(ctx context.Context, writes ...configs.Write) (uint64, error) {
	doing := "write " + f.keys(writes)
	ops, err := f.operations(writes)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	result, err := f.client.txn(ctx, ops, "")
	if err != nil {
		return 0, explain(doing, err)
	}
	if result.refused {
		return 0, fmt.Errorf("%s: %w", doing, refusal(result.Errors))
	}
	// The results are one for each check and each write, in order; deletions
	// have none. All writes are made at one index, the largest there is.
	var index uint64
	for _, r := range result.Results {
		if r.KV != nil {
			index = max(index, r.KV.ModifyIndex)
		}
	}
	last := writes[len(writes)-1]
	if slices.ContainsFunc(writes, func(w configs.Write) bool { return !w.Delete }) {
		return index, nil
	}
	return f.deletionIndex(ctx, last.Key, index+1), nil
}

func (f *Fleet) keys(writes []configs.Write) string {
	keys := make([]string, len(writes))
	for i, write := range writes {
		keys[i] = f.prefix + write.Key
	}
	return strings.Join(keys, ", ")
}

// operations are the writes as Consul's transaction.
func (f *Fleet) operations(writes []configs.Write) (api.TxnOps, error) {
	if len(writes) == 0 {
		return nil, errors.New("nothing to write")
	}
	var ops api.TxnOps
	add := func(op api.KVTxnOp) { ops = append(ops, &api.TxnOp{KV: &op}) }
	for _, write := range writes {
		key := f.prefix + write.Key
		switch {
		case write.Key == "" || strings.HasPrefix(write.Key, "/") || strings.HasSuffix(write.Key, "/"):
			return nil, fmt.Errorf("%q is not a key", write.Key)
		case write.Delete && write.Index == 0:
			return nil, fmt.Errorf("%s: a deletion must name the index of what it deletes", key)
		case write.Delete:
			// Consul takes delete-cas of a missing key for done, whatever the
			// index; that somebody else deleted it is a conflict here.
			add(api.KVTxnOp{Verb: api.KVCheckIndex, Key: key, Index: write.Index})
			add(api.KVTxnOp{Verb: api.KVDeleteCAS, Key: key, Index: write.Index})
		default:
			flags := uint64(0)
			if write.Tool {
				flags = ToolFlag
			}
			add(api.KVTxnOp{Verb: api.KVCAS, Key: key, Value: write.Value, Index: write.Index, Flags: flags})
		}
	}
	if len(ops) > maxOps {
		return nil, fmt.Errorf("%d operations at once, Consul takes %d", len(ops), maxOps)
	}
	body, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("encode transaction: %w", err)
	}
	if len(body) > maxTxnBytes {
		return nil, fmt.Errorf("%d bytes as a transaction, Consul takes %d, which is about %d KiB of values", len(body), maxTxnBytes, maxTxnBytes*3/4>>10)
	}
	return ops, nil
}

// refusal is the error of a transaction that Consul rolled back.
func refusal(errs api.TxnErrors) error {
	text := errorText(errs)
	if deniedText(text) {
		return fmt.Errorf("%w: %s", configs.ErrForbidden, text)
	}
	for _, e := range errs {
		// The texts of a failed cas, check-index and delete-cas; see
		// agent/consul/state/txn.go and kvs.go.
		if !strings.Contains(e.What, "index is stale") && !strings.Contains(e.What, "failed to check index") &&
			!strings.Contains(e.What, "failed index check") {
			return errors.New(text)
		}
	}
	return fmt.Errorf("%w: %s", configs.ErrConflict, text)
}

// deletionIndex is the index of the key's tombstone, or the least that it can
// be.
func (f *Fleet) deletionIndex(ctx context.Context, key string, least uint64) uint64 {
	_, meta, err := f.client.KV().Keys(f.prefix+key, "", query(ctx, consistent))
	if err != nil {
		return least
	}
	return max(least, meta.LastIndex)
}

// Anonymous is what Who returns without a token, and without access control.
const Anonymous = "anonymous"

// anonymousAccessor is the accessor of the token that Consul gives to requests
// without one.
const anonymousAccessor = "00000000-0000-0000-0000-000000000002"

// Who implements configs.Store: the accessor of the token, which is public,
// never the token. It is Anonymous without one, and "unknown" where Consul does
// not tell.
func (f *Fleet) Who(ctx context.Context) string {
	token, _, err := f.client.ACL().TokenReadSelf(query(ctx, ""))
	var status api.StatusError
	switch {
	case errors.As(err, &status) && (status.Code == http.StatusUnauthorized || f.client.resolved.Token == ""):
		return Anonymous // access control is off, or there is no token
	case err != nil:
		return "unknown"
	case token.AccessorID == anonymousAccessor:
		return Anonymous
	}
	return token.AccessorID
}
