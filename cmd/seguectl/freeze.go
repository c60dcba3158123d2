package main

import (
	"context"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

func (c *cli) freezeCommand() *cobra.Command {
	return c.freezeVerb("freeze", true, &cobra.Command{
		Short: "Stop every new document: gateways keep what they have",
		Long: `Stop every new document: gateways keep what they have in force until unfreeze.
Holds and automatic rollbacks still work. Writes settings.freeze: true.`,
		Example: `  seguectl freeze --reason "release weekend"`,
	})
}

func (c *cli) unfreezeCommand() *cobra.Command {
	return c.freezeVerb("unfreeze", false, &cobra.Command{
		Short:   "Let gateways take new documents again",
		Long:    `Let gateways take new documents again. Writes settings.freeze: false.`,
		Example: `  seguectl unfreeze --reason "release weekend is over"`,
	})
}

func (c *cli) freezeVerb(verb string, freeze bool, cmd *cobra.Command) *cobra.Command {
	var w writing
	cmd.Use = verb
	cmd.Args = cobra.NoArgs
	cmd.RunE = c.verb(func(ctx context.Context, _ []string) (report, error) {
		return c.with(ctx, func(s *source) (report, error) { return c.freeze(ctx, s, &w, verb, freeze) })
	})
	w.register(cmd)
	return cmd
}

func (c *cli) freeze(ctx context.Context, s *source, w *writing, verb string, freeze bool) (report, error) {
	item, doc, refused, err := s.stored(ctx, settingsName)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return nil, refused
	}
	settings := &configs.Settings{Schema: configs.SchemaVersion}
	ch := change{event: verb, name: settingsName, key: keyOf(settingsName), before: item}
	if doc != nil {
		settings = doc.settings
		ch.after = doc.value
	}
	if settings.Freeze != freeze || item == nil && freeze {
		ch.after = setFreeze(ch.after, settings, freeze)
	}
	r, err := c.write(ctx, s, w, ch)
	if err == nil && item == nil && r.Changed {
		c.noteIn(r, "there were no settings: they are written, so deletions count from now on")
	}
	return r, err
}

// setFreeze is the text of settings with freeze set. What else is written
// there stays as it was, comments included, where the text allows it; else the
// text is canonical. Text may be empty: no settings yet.
func setFreeze(text []byte, settings *configs.Settings, freeze bool) []byte {
	want := *settings
	want.Freeze = freeze
	for _, edited := range freezeEdits(text, freeze) {
		after, _, err := configs.ParseSettings(configs.Entry{Value: edited})
		if err == nil && reflect.DeepEqual(after, &want) {
			return edited
		}
	}
	return configs.CanonicalSettings(&want)
}

var (
	freezeField = regexp.MustCompile(`(?m)(^|[{,\s])("?freeze"?[ \t]*:[ \t]*)(true|false)\b`)
	firstBrace  = regexp.MustCompile(`^\s*\{`)
)

// freezeEdits are texts that may be what is wanted, best first. Each must be
// read back before it counts: the edits do not know where strings and comments
// are.
func freezeEdits(text []byte, freeze bool) [][]byte {
	value := strconv.FormatBool(freeze)
	var edits [][]byte
	for _, at := range freezeField.FindAllSubmatchIndex(text, -1) {
		edits = append(edits, slices.Concat(text[:at[6]], []byte(value), text[at[7]:]))
	}
	if at := firstBrace.FindIndex(text); at != nil {
		return append(edits, slices.Concat(text[:at[1]], []byte(`"freeze": `+value+`, `), text[at[1]:]))
	}
	if len(text) > 0 {
		edits = append(edits, slices.Concat(withNewline(text), []byte("freeze: "+value+"\n")))
	}
	return edits
}
