// Package mlflow reads artifacts from an MLflow model registry by its REST API,
// and says which versions and aliases a registered model has.
//
//	mlflow:models/mozart/3           a version
//	mlflow:models/mozart@champion    the version that an alias names now
//	mlflow:runs/<run id>/model       what a run logged under a path
//
// Where the server hands out artifacts itself (mlflow-artifacts:) they are read
// through it; where it only says in which bucket they lie, the store of that
// bucket reads them, with that store's own credentials and rules. MLflow knows
// no checksums: a manifest in the model's folder pins what was registered, and
// without one the manifest that is made on arrival does.
//
// The package promises that credentials go to no other server than the one that
// the process was configured with, whatever a registry says, and that a registry
// cannot name a file of this machine. It never writes to a registry.
//
//	server, err := mlflow.New(options) // mlflow.FromEnvironment(os.Getenv)
//	origin, err := server.Open(ctx, store.Ref{URI: "mlflow:models/mozart@champion"})
package mlflow
