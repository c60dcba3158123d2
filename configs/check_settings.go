package configs

import (
	"fmt"
	"slices"
	"strings"
)

// SchemaVersion is the version of the documents' schema that Settings.Schema
// must name.
const SchemaVersion = 1

// Permissions of a Key, and the groups of routes that Settings.Public opens
// (the two that move nothing and run nothing).
const (
	PermissionPredict  = "predict"
	PermissionMetadata = "metadata"
	PermissionHealth   = "health"
	PermissionFeedback = "feedback"
	PermissionAdmin    = "admin"
)

func checkSettings(s *Settings, r *report) {
	if r.at["schema"] != nil && !r.spoilt("schema") && s.Schema != SchemaVersion {
		r.problem("schema", "is %d, this version of segue knows %d", s.Schema, SchemaVersion)
	}
	checkModels(s.ReadyRequires, "ready_requires", r)
	if s.DeleteGrace != nil && *s.DeleteGrace == 0 && !r.spoilt("delete_grace") {
		r.warn("delete_grace", "0s switches the guards against mass deletion off too")
	}
	for i, group := range s.Public {
		oneOf(r, indexPath("public", i), group, PermissionHealth, PermissionMetadata)
	}
	if len(s.Public) > 0 && len(s.Keys) == 0 && !r.spoilt("keys") {
		r.warn("public", "has no effect without keys: everything is open")
	}
	checkKeys(s.Keys, r)
	checkSignatures(s, r)
	if s.Limits.MaxInFlight < 0 {
		r.problem("limits.max_in_flight", "must not be negative, found %d", s.Limits.MaxInFlight)
	}
}

func checkKeys(keys []Key, r *report) {
	names, sums := map[string]int{}, map[string]int{}
	for i, k := range keys {
		path := indexPath("keys", i)
		given := func(field string) bool { return r.at[path+"."+field] != nil && !r.spoilt(path+"."+field) }
		if given("name") {
			if err := CheckName(k.Name); err != nil {
				r.problem(path+".name", "%s", err)
			}
			once(r, names, k.Name, i, path+".name", "the name of keys")
		}
		if given("sha256") {
			if !hexRegexp.MatchString(k.SHA256) {
				r.problem(path+".sha256", "%s is not the SHA-256 of a key: 64 hexadecimal digits in lower case, as sha256sum prints", hideKey(k.SHA256))
			}
			once(r, sums, k.SHA256, i, path+".sha256", "the key of keys")
		}
		if given("permissions") && len(k.Permissions) == 0 {
			r.problem(path+".permissions", "empty: the key would open nothing")
		}
		for j, p := range k.Permissions {
			oneOf(r, indexPath(path+".permissions", j), p, PermissionPredict, PermissionMetadata, PermissionHealth, PermissionFeedback, PermissionAdmin)
		}
		checkModels(k.Models, path+".models", r)
		checkRate(k.Rate, k.Burst, path, r)
	}
}

// hideKey describes a text that may be a key which somebody pasted in place of
// its hash: messages end up in logs.
func hideKey(text string) string {
	if strings.Trim(text, "0123456789abcdefABCDEF") == "" {
		return fmt.Sprintf("a text of %d hexadecimal digits", len(text))
	}
	return fmt.Sprintf("a text of %d bytes", len(text))
}

func checkModels(names []string, path string, r *report) {
	for i, name := range names {
		at := indexPath(path, i)
		if r.spoilt(at) {
			continue
		}
		if err := CheckName(name); err != nil {
			r.problem(at, "%s", err)
		} else if slices.Index(names, name) < i {
			r.warn(at, "%q is there twice", name)
		}
	}
}

// once reports a text that an earlier item of the list has too.
func once(r *report, seen map[string]int, text string, i int, path, what string) {
	if first, ok := seen[text]; ok {
		r.problem(path, "%s[%d] again: each must be there once", what, first)
		return
	}
	seen[text] = i
}
