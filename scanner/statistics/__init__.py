"""The statistics every probe uses: exact where that is possible, paired, and honest about what they could have missed."""

from scanner.statistics.bootstrap import Difference, MeanTest, clustered, mean_interval, two_samples
from scanner.statistics.conformal import conformal_false_alarms, conformal_p
from scanner.statistics.judged import Accuracy, true_change, true_rate
from scanner.statistics.multiplicity import benjamini_hochberg, holm
from scanner.statistics.paired import detectable_loss, mcnemar, paired_interval, paired_test
from scanner.statistics.rates import combined_interval, fisher, independent_interval, upper_bound_of_zero, wilson

__all__ = [
    "Accuracy",
    "Difference",
    "MeanTest",
    "benjamini_hochberg",
    "clustered",
    "combined_interval",
    "conformal_false_alarms",
    "conformal_p",
    "detectable_loss",
    "fisher",
    "holm",
    "independent_interval",
    "mcnemar",
    "mean_interval",
    "paired_interval",
    "paired_test",
    "true_change",
    "true_rate",
    "two_samples",
    "upper_bound_of_zero",
    "wilson",
]
