package configs

// Document is what an operator says of one model: its versions, who of them
// answers, and within which limits. Parse makes it; it is read-only from then
// on and shared freely.
type Document struct {
	// Model is the model's name; it equals the key's or file's name.
	Model string `json:"model"`
	// Versions are the model's versions by name. All of them are loaded. They
	// stand here, or a registry is followed.
	Versions map[string]Version `json:"versions,omitempty"`
	// Follow takes the versions from a registry.
	Follow *Follow `json:"follow,omitempty"`
	// Traffic says which versions answer requests that name none. It may be
	// left out: then the version that the process's MODEL_VERSION names answers,
	// by default the latest.
	Traffic Traffic `json:"traffic,omitzero"`
	// Rollout moves the traffic from one version to another, step by step,
	// instead of fixed weights.
	Rollout *Rollout `json:"rollout,omitempty"`
	// Feedback says what may come back about the model's predictions.
	Feedback Feedback `json:"feedback,omitzero"`
	// Runtime says how the versions run; a version's own block overrides it
	// field by field.
	Runtime Runtime `json:"runtime,omitzero"`
	// Limits bound what the model may cost one gateway process.
	Limits Limits `json:"limits,omitzero"`
	// RequireSignature names signers of the settings: a version is served only
	// where one of them signed it. Rules of the settings count besides.
	RequireSignature []string `json:"require_signature,omitempty"`
	// NonFinite says what a JSON answer does with NaN and infinities: "error"
	// (default), "null" or "literal".
	NonFinite string `json:"nonfinite,omitempty"`
	// Drift compares what the model sees and says with a reference; without it
	// nothing is compared.
	Drift *Drift `json:"drift,omitempty"`
}

// Version says where the artifact of one version lies.
type Version struct {
	// URI names the artifact: file:models/mozart/1, s3://models/mozart/1 and
	// further schemes. A relative path of file: counts from the document's folder.
	URI string `json:"uri"`
	// Digest is "sha256:" and the hex SHA-256 of the artifact's manifest. It
	// may be left out unless settings require it; then the first one seen is
	// pinned.
	Digest string `json:"digest,omitempty"`
	// AllowBreaking lets the version take traffic although callers of the one
	// that it replaces will have to change: its signature breaks theirs.
	AllowBreaking bool `json:"allow_breaking,omitempty"`
	// Attempt counts the tries that an operator asked for. Raising it has a
	// version that was refused, and is in quarantine, tried again at once.
	Attempt int `json:"attempt,omitempty"`
	// Pin keeps the version in memory whatever runtime.idle_unload says.
	Pin bool `json:"pin,omitempty"`
	// Runtime overrides the document's block for this version.
	Runtime Runtime `json:"runtime,omitzero"`
}

// Traffic splits the requests that name no version.
type Traffic struct {
	// Weights are the relative shares by version, finite and not negative. A
	// version with weight 0 stays loaded and can be asked for by name.
	Weights map[string]float64 `json:"weights,omitempty"`
	// Sticky keeps a caller on one version.
	Sticky Sticky `json:"sticky,omitzero"`
	// Names are the variants' names in answers, by version; default
	// "v<version>".
	Names map[string]string `json:"names,omitempty"`
	// Shadow copies a share of the requests, in percent, to versions that have
	// no weight (a rollout's canary has none before the first step). Their
	// answers are compared and thrown away.
	Shadow map[string]float64 `json:"shadow,omitempty"`
	// AllowBreaking lets every version take traffic although its signature breaks
	// the callers of the one that it replaces, as Version.AllowBreaking does for
	// one; it is for versions that a registry names.
	AllowBreaking bool `json:"allow_breaking,omitempty"`
	// Testers lets single requests choose their side of the split.
	Testers Testers `json:"testers,omitzero"`
}

// Testers names the request header by which a tester is put on one version, or
// kept out of an experiment. Requests that carry it count for no rollout.
type Testers struct {
	// Header is the name of the header, or of the gRPC metadata key. Its value
	// is a version, a variant's name, or "exclude" for the stable version (with
	// plain weights, the heaviest). A value that is none of them is ignored.
	Header string `json:"header,omitempty"`
}

// Feedback says what may come back about predictions, and until when.
type Feedback struct {
	// Expires is how long after its prediction feedback is taken. Default 24h,
	// at most 30 days.
	Expires Duration `json:"expires,omitempty"`
	// Labels are the classes that a label may name; others are refused. Where
	// the model's classes are positions, the first label names position 0 and
	// so on. Default is that any label is taken.
	Labels []string `json:"labels,omitempty"`
}

// Sticky names the request header whose value decides the version.
type Sticky struct {
	// Header is the name of the header, or of the gRPC metadata key.
	Header string `json:"header,omitempty"`
	// Salt makes the assignment independent of other experiments'.
	Salt string `json:"salt,omitempty"`
	// Required answers 400 where the header is absent or empty, instead of a
	// random split.
	Required bool `json:"required,omitempty"`
}

// Runtime says how sessions are opened and batches made. Zero fields inherit:
// from the document, then from the process, then from the defaults.
type Runtime struct {
	// Device is cpu or cuda or cuda:<n>; default cpu.
	Device string `json:"device,omitempty"`
	// Threads is the number of threads inside one run; default 1.
	Threads int `json:"threads,omitempty"`
	// Instances is how many sessions of a version there are; default 1. More
	// help runs of microseconds that follow each other without a pause, at the
	// price of the weights' memory each.
	Instances int `json:"instances,omitempty"`
	// MaxBatchSize is the largest first dimension of a request; default is
	// the process's BATCH_SIZE, 32.
	MaxBatchSize int `json:"max_batch_size,omitempty"`
	// MaxQueueDelay is how long a run may wait for more rows; default 0.
	MaxQueueDelay Duration `json:"max_queue_delay,omitempty"`
	// MaxDimension is the largest size of a dynamic dimension other than the
	// first; default is the process's MAX_SEQUENCE_LENGTH, else no limit.
	MaxDimension int `json:"max_dimension,omitempty"`
	// IdleUnload lets a version that nothing needs go after so long without a
	// request: one that has no weight and no copies, is no side of a rollout and
	// not pinned. It goes sooner where memory is short. The next request that
	// names it is answered 503 with Retry-After, and loads it again. Default is
	// that versions stay in memory.
	IdleUnload Duration `json:"idle_unload,omitempty"`
	// MemoryLimit is how much of its device's memory each session may take, for
	// weights and for runs; default no limit. The CPU's is bounded by the
	// process's control group instead.
	MemoryLimit Size `json:"memory_limit,omitempty"`
}

// Limits bound one model in one gateway process. Zero fields set no limit but
// the gateway's own.
type Limits struct {
	// Rate is requests a second, Burst how many may come at once; default
	// burst is the rate.
	Rate  float64 `json:"rate,omitempty"`
	Burst int     `json:"burst,omitempty"`
	// Queue is how many requests may wait for a run; default 256.
	Queue int `json:"queue,omitempty"`
	// QueueTime is how long a request may have to wait for its run: one that
	// would wait longer is refused before its body is read. Default 1s,
	// but 16 requests may always wait for as long as their deadlines allow.
	QueueTime Duration `json:"queue_time,omitempty"`
	// Timeout is the longest a request may take; a client can only shorten
	// it. Default 30s.
	Timeout Duration `json:"timeout,omitempty"`
}

// Settings are limits and keys of the whole gateway. In a folder they are
// _settings.yaml, in Consul PREFIX/settings; their presence is also the
// sentinel without which no deletion counts.
type Settings struct {
	// Schema is the version of the documents' schema, 1.
	Schema int `json:"schema"`
	// Freeze stops every new document; holds and automatic rollbacks work on.
	Freeze bool `json:"freeze,omitempty"`
	// ReadyRequires are models that must serve before the gateway is ready;
	// default: at least one, if any is configured.
	ReadyRequires []string `json:"ready_requires,omitempty"`
	// DeleteGrace is how long a model serves on after its document went away;
	// default 60s, 0s switches the guards off.
	DeleteGrace *Duration `json:"delete_grace,omitempty"`
	// RequireDigest refuses versions without a digest.
	RequireDigest bool `json:"require_digest,omitempty"`
	// Signers are those whose signatures of artifacts are known, by name.
	Signers []Signer `json:"signers,omitempty"`
	// RequireSignature says where artifacts have to be signed. A version is
	// held against every rule whose prefix its uri has.
	RequireSignature []SignatureRule `json:"require_signature,omitempty"`
	// Keys open routes. With none the data API is open.
	Keys []Key `json:"keys,omitempty"`
	// Public opens groups of data routes to requests without a key where keys
	// are configured: "health", "metadata".
	Public []string `json:"public,omitempty"`
	// Limits bound the whole gateway.
	Limits GatewayLimits `json:"limits,omitzero"`
	// FeedbackKeyFile holds the key of the MAC in prediction ids.
	FeedbackKeyFile string `json:"feedback_key_file,omitempty"`
}

// Signer is somebody whose signatures of artifacts are known: the holder of a
// private key, or of a certificate under some roots.
type Signer struct {
	// Name is how rules and documents call the signer.
	Name string `json:"name"`
	// PEM is the public key (ECDSA on P-256, P-384 or P-521), or the roots'
	// certificates. Either PEM or File is given.
	PEM string `json:"pem,omitempty"`
	// File holds what PEM would; it is read whenever a version is loaded. A
	// relative path counts from the gateway's working directory.
	File string `json:"file,omitempty"`
	// Identities narrows certificates to those with one of these names: common
	// name, DNS name, mail address or URI. Default is every certificate under
	// the roots.
	Identities []string `json:"identities,omitempty"`
}

// SignatureRule asks for signed artifacts.
type SignatureRule struct {
	// Prefix is what the uri of a version starts with, as it is written; one of
	// file: also with the path that it leads to. Left out, the rule is for all of
	// them.
	Prefix string `json:"prefix,omitempty"`
	// Signers are names of signers of whom one must have signed.
	Signers []string `json:"signers"`
}

// Key is one API key. The key itself is never stored, only its SHA-256.
type Key struct {
	// Name says whose key it is, in logs and audit.
	Name string `json:"name"`
	// SHA256 is the hex SHA-256 of the key's bytes.
	SHA256 string `json:"sha256"`
	// Permissions open groups of routes: "predict" (inference and metadata),
	// "metadata", "health", "feedback", "admin".
	Permissions []string `json:"permissions"`
	// Models restricts predict, metadata and feedback to these models; empty
	// means all.
	Models []string `json:"models,omitempty"`
	// Rate is predictions a second with this key over all models, Burst how
	// many may come at once; default burst is the rate, default rate no limit.
	Rate  float64 `json:"rate,omitempty"`
	Burst int     `json:"burst,omitempty"`
}

// GatewayLimits bound one gateway process over all models.
type GatewayLimits struct {
	// MaxBody is the largest request body; default 64MiB.
	MaxBody Size `json:"max_body,omitempty"`
	// MaxInFlight is how many requests may be answered at once; default 1024.
	MaxInFlight int `json:"max_in_flight,omitempty"`
}
