"""Kivva et al.: mixtures and piecewise affine decoders."""

#: The modules with claims, in the order of the paper.
CHAPTERS: tuple[str, ...] = (
    "assumptions",
    "assumptions_preview",
    "injectivity",
    "hidden_variables",
    "hierarchy",
    "hierarchy_limits",
    "special_cases",
    "reported_experiments",
    "proof_c_mixtures",
    "proof_c_analytic",
    "proof_c_counts",
    "proof_d_decoder",
    "proof_e_unmixing",
    "proof_f_conditions",
    "proof_f_hidden",
    "statistics_equivalence",
    "statistics_equivalence_gaussian",
    "networks",
    "networks_leaky",
    "metrics_distance",
    "metrics_correlation",
    "experiments_likelihood",
    "experiments_grid",
    "experiments_reports",
)
