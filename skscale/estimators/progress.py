"""Progress reports of a training: printed lines, and scikit-learn's callbacks."""

from dataclasses import replace

from ..training.task import TrainedNetwork
from .description import describe_fitted, make_network


def watch_epochs(estimator, context, task, fit, n_epochs, seen):
    """Return the function that the engine calls after each epoch."""
    from ..fusion.rendezvous import fit_number

    is_watched = "_skl_callbacks" in vars(estimator)
    # No reference to the task: a cycle with this function would keep its rows in memory.
    architecture, is_validated = task.architecture, task.valid_rows is not None
    buffers, number = task.buffers or [], fit_number()
    # The number identifies the fit among those that train together.
    title = type(estimator).__name__ + ("" if number is None else f", fit {number}")

    def on_epoch_end(epoch, get_weights):
        if estimator.verbose:
            validation = ""
            if is_validated:
                validation = f", validation score {epoch['validation_score']:.5f}"
            print(
                f"{title}: epoch {epoch['epoch']}/{n_epochs}, "
                f"train loss {epoch['train_loss']:.5f}{validation}, "
                f"{epoch['seconds']:.2f} s"
            )
        if not is_watched:
            return False

        def fitted_attributes():
            weights = get_weights()
            if not weights.buffers:
                weights = replace(weights, buffers=buffers)
            # After pruning the network is narrower than `architecture`.
            network = make_network(
                estimator, architecture.shaped_as(weights), [TrainedNetwork(weights)]
            )
            return describe_fitted(estimator, network, fit)

        subcontext = context.subcontext(task_name="epoch")
        subcontext.call_on_fit_task_begin(estimator=estimator, **seen)
        return subcontext.call_on_fit_task_end(
            estimator=estimator, reconstruction_attributes=fitted_attributes, **seen
        )

    return on_epoch_end
