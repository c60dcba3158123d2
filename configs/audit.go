package configs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// AuditPrefix is the part of the store that holds the audit.
const AuditPrefix = "audit/"

// AuditKept is how many records per model are kept.
const AuditKept = 100

// AuditSettings stands in the place of a model's name in records about the
// settings. No model can have this name.
const AuditSettings = "_settings"

// DirectWriter is the user in records of changes that nobody but the store saw:
// a key written by hand, by Terraform or by another tool.
const DirectWriter = "direct write"

// EventDocument is the event that gateways record for a document that was
// written directly. The tool names its records after its verbs.
const EventDocument = "document"

// EventResolve is the event that the gateway records which found something else in
// a registry that a document follows; the record's document is the Resolution.
const EventResolve = "resolve"

// EventDelete is the event of a deletion that was asked for by name. Where it
// is a model's newest record, at an index not lower than that of the deleted
// document, the deletion is no accident.
const EventDelete = "delete"

// AuditRecord says who changed what, when and why. Records are created once
// and never changed.
type AuditRecord struct {
	// Model is the model's name, or AuditSettings.
	Model string `json:"model"`
	// Index is the index of the change in the store.
	Index uint64 `json:"index"`
	// Event names the change: EventDocument, or the verb of the tool.
	Event string `json:"event"`
	// At is when the change was recorded.
	At time.Time `json:"at"`
	// Who made the change.
	Who AuditWho `json:"who"`
	// Reason is what the writer gave as reason, often empty.
	Reason string `json:"reason,omitempty"`
	// BeforeDigest is the EntryDigest of the document before, empty where
	// there was none.
	BeforeDigest string `json:"before_digest,omitempty"`
	// Document is the text after the change: the model's document, for a hold
	// the override; empty after a deletion or a release.
	Document string `json:"document,omitempty"`
	// Outcome says what came of it in a few words: written, accepted, or why
	// not.
	Outcome string `json:"outcome"`
}

// AuditWho names the writer of a change.
type AuditWho struct {
	// TokenAccessor is the accessor of the store's token, never the token.
	TokenAccessor string `json:"token_accessor,omitempty"`
	// User is the user as the writer's system knows them, or DirectWriter.
	User string `json:"user"`
}

// String names the writer for people.
func (w AuditWho) String() string {
	switch {
	case w.TokenAccessor == "":
		return w.User
	case w.User == "":
		return "token " + w.TokenAccessor
	}
	return w.User + " (token " + w.TokenAccessor + ")"
}

// EntryDigest is the digest by which documents are named in the audit and in
// status: "sha256:" and the hex SHA-256 of the entry's bytes.
func EntryDigest(value []byte) string {
	sum := sha256.Sum256(value)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// AuditKey is the key of a record. The index has twenty digits, so that keys
// sort as indexes do.
func AuditKey(model string, index uint64, event string) string {
	return fmt.Sprintf("%s%s/%020d-%s", AuditPrefix, model, index, event)
}

// ParseAuditKey takes a key of AuditKey apart; ok is false for any other key.
func ParseAuditKey(key string) (model string, index uint64, event string, ok bool) {
	rest, found := strings.CutPrefix(key, AuditPrefix)
	if !found {
		return "", 0, "", false
	}
	model, name, found := strings.Cut(rest, "/")
	if !found || model == "" {
		return "", 0, "", false
	}
	digits, event, found := strings.Cut(name, "-")
	if !found || len(digits) != 20 || !auditEvent(event) {
		return "", 0, "", false
	}
	index, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || digits[0] == '+' {
		return "", 0, "", false
	}
	return model, index, event, true
}

func auditEvent(event string) bool {
	return event != "" && len(event) <= 32 && strings.Trim(event, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// RecordAudit creates the record and deletes the oldest ones beyond AuditKept.
// A change that somebody else has recorded already is no error; a record of
// another change under the same key is ErrConflict.
func RecordAudit(ctx context.Context, store Store, record AuditRecord) error {
	key := AuditKey(record.Model, record.Index, record.Event)
	if _, _, _, ok := ParseAuditKey(key); !ok {
		return fmt.Errorf("audit of %s: %q is not the key of a record", record.Model, key)
	}
	value, err := encodeAudit(record)
	if err != nil {
		return fmt.Errorf("audit of %s: %w", record.Model, err)
	}
	if _, err := store.Apply(ctx, Write{Key: key, Value: value, Tool: true}); err != nil {
		if !errors.Is(err, ErrConflict) || !recorded(ctx, store, key, record) {
			return fmt.Errorf("audit of %s: %w", record.Model, err)
		}
	}
	if err := pruneAudit(ctx, store, record.Model); err != nil {
		return fmt.Errorf("audit of %s: deleting old records: %w", record.Model, err)
	}
	return nil
}

// encodeAudit leaves <, > and & as they are, because people read the records
// in Consul's pages.
func encodeAudit(record AuditRecord) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(record); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// recorded reports that the key holds a record of the same change.
func recorded(ctx context.Context, store Store, key string, record AuditRecord) bool {
	item, ok, err := store.Get(ctx, key)
	if err != nil || !ok {
		return false
	}
	var there AuditRecord
	if json.Unmarshal(item.Value, &there) != nil {
		return false
	}
	return there.Document == record.Document && there.BeforeDigest == record.BeforeDigest
}

func pruneAudit(ctx context.Context, store Store, model string) error {
	items, err := store.List(ctx, AuditPrefix+model+"/")
	if err != nil {
		return err
	}
	for len(items) > AuditKept {
		oldest := items[0]
		items = items[1:]
		// Gateways and tools prune side by side: gone already is as good.
		_, err := store.Apply(ctx, Write{Key: oldest.Key, Delete: true, Index: oldest.Index})
		if err != nil && !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return nil
}

// ListAudit returns the model's records, newest first. Keys and values that
// are no records are left out.
func ListAudit(ctx context.Context, store Store, model string) ([]AuditRecord, error) {
	items, err := store.List(ctx, AuditPrefix+model+"/")
	if err != nil {
		return nil, fmt.Errorf("audit of %s: %w", model, err)
	}
	records := make([]AuditRecord, 0, len(items))
	for i := len(items) - 1; i >= 0; i-- {
		keyModel, index, event, ok := ParseAuditKey(items[i].Key)
		if !ok || keyModel != model {
			continue
		}
		var record AuditRecord
		if json.Unmarshal(items[i].Value, &record) != nil {
			continue
		}
		// The key is what create-only protects, so it wins over the value.
		record.Model, record.Index, record.Event = keyModel, index, event
		records = append(records, record)
	}
	return records, nil
}
